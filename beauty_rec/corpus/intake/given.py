"""What came over the API, as rows beside those of the files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from beauty_rec.corpus.intake.rows import said_of
from beauty_rec.corpus.schema import ITEM_SCHEMA
from beauty_rec.row_cache import content_keys

CAN_BE_GIVEN = (
    *("parent_asin", "title", "main_category", "store", "price"),
    *("features", "description", "categories", "details"),
)
"""Columns of an item that can be given; others follow from them, or are what people say of it."""

GivenKind = Literal["events", "items", "forgotten"]


def taken_path(data_dir: Path, kind: GivenKind) -> Path:
    """Return where a kind of what was given stands, in the layout of an input file."""
    name = "forgotten.json" if kind == "forgotten" else f"{kind}.jsonl"
    return data_dir / "raw" / "shop" / name


def with_events(reviews: pl.DataFrame, given: pl.DataFrame) -> pl.DataFrame:
    """Return ``reviews`` and the given events (both ``REVIEW_SCHEMA``), sorted by time.

    Of one event in both the file's row stays, which may have a text.
    """
    new = given.join(reviews, on="review_id", how="anti")
    return pl.concat([reviews, new]).sort("timestamp", "review_id")


def with_items(
    items: pl.DataFrame, given: pl.DataFrame, prices: Mapping[str, float]
) -> pl.DataFrame:
    """Return ``items`` with given ones in place of the file's, sorted by item.

    Args:
        items: ``ITEM_SCHEMA``.
        given: the same; what people say of an item (``average_rating``, ``rating_number``) stays
            that of the file.
        prices: that were given for items alone.
    """
    said = items.select("parent_asin", "average_rating", "rating_number")
    new = given.drop("average_rating", "rating_number").join(said, on="parent_asin", how="left")
    others = items.join(given, on="parent_asin", how="anti")
    every = pl.concat([others, new.select(list(ITEM_SCHEMA))]).sort("parent_asin")
    if not prices:
        return every
    price = pl.col("parent_asin").replace_strict(prices, default=None, return_dtype=pl.Float32)
    return every.with_columns(price=pl.coalesce(price, "price"))


def content_of(row: dict[str, Any]) -> str:
    """Return what :func:`contents_of` does for the item of a validated metadata row."""
    said = said_of(row)
    if said["price"] is not None:
        said["price"] = float(np.float32(said["price"]))  # as the column has it
    return content_keys([tuple(said[column] for column in CAN_BE_GIVEN)])[0]


def contents_of(items: pl.DataFrame) -> list[str]:
    """Return 24 hex digits for each of ``items`` (``ITEM_SCHEMA``): of all that can be given of it.

    An item that was given and the row that the pipeline made of it have the same.
    """
    return content_keys(items.select(CAN_BE_GIVEN).iter_rows())
