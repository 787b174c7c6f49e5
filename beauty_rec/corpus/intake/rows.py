"""Validated rows of one block, as a Polars frame."""

import json
import math
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import polars as pl
from pydantic_core import from_json, to_json

from beauty_rec.corpus.category import Category, categorize
from beauty_rec.corpus.price import parse_price
from beauty_rec.corpus.schema import ITEM_SCHEMA, REVIEW_FIELDS, REVIEW_SCHEMA
from beauty_rec.corpus.text import clean_column, clean_text

MAX_NAME_CHARS = 200
"""Of a store, a category, a price as it was given: longer ones are texts that lost their way."""


def review_id(user_id: str, parent_asin: str, timestamp: int) -> str:
    """Return the id of a review: 16 hex digits that stand for (user, item, timestamp)."""
    return sha256(f"{user_id}\0{parent_asin}\0{timestamp}".encode()).hexdigest()[:16]


def review_frame(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Return validated review rows in the columns of `REVIEW_SCHEMA`, in the given order."""
    users = [row["user_id"] for row in rows]
    items = [row["parent_asin"] for row in rows]
    times = [row["timestamp"] for row in rows]
    titles = [row.get("title") or "" for row in rows]
    texts = [row.get("text") or "" for row in rows]
    raw_title = pl.Series("title", titles, dtype=pl.String)
    raw_text = pl.Series("text", texts, dtype=pl.String)
    context = pl.Series([row.get("context") for row in rows], dtype=pl.String)
    columns = {
        "review_id": list(map(review_id, users, items, times)),
        "user_id": users,
        "parent_asin": items,
        "timestamp": times,
        "rating": [row["rating"] for row in rows],
        "title": clean_column(raw_title),
        "text": clean_column(raw_text),
        "raw_title": raw_title,
        "raw_text": raw_text,
        "helpful_vote": [row.get("helpful_vote") or 0 for row in rows],
        "verified_purchase": [bool(row.get("verified_purchase")) for row in rows],
        "context": clean_column(context),
        "extras": [None if row.keys() <= REVIEW_FIELDS else _extras(row) for row in rows],
    }
    return pl.DataFrame(columns, schema=REVIEW_SCHEMA).with_columns(
        context=pl.col("context").replace("", None)
    )


def item_frame(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Return validated metadata rows in the columns of `ITEM_SCHEMA`, in the given order."""
    return pl.DataFrame([_item(row) for row in rows], schema=ITEM_SCHEMA, orient="row")


def said_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return what a validated metadata row says of its item, by column of `ITEM_SCHEMA`."""
    return {
        "parent_asin": row["parent_asin"],
        "title": clean_text(row.get("title") or ""),
        "main_category": _name(row.get("main_category")),
        "store": _name(row.get("store")),
        "price": parse_price(row.get("price")),
        "features": _clean_list(row.get("features")),
        "description": " ".join(_clean_list(row.get("description"))),
        "categories": [shortened(category) for category in _clean_list(row.get("categories"))],
        "details": _json(row.get("details") or {}),
    }


def shortened(text: str, limit: int = MAX_NAME_CHARS) -> str:
    """Return ``text``, cut between words where it is longer than ``limit`` characters."""
    if len(text) <= limit:
        return text
    return text[: limit + 1].rpartition(" ")[0] or text[:limit]


def _name(text: str | None) -> str | None:
    return shortened(clean_text(text or "")) or None


def _extras(row: dict[str, Any]) -> str | None:
    """Return the scalar fields that the row model does not name, as a JSON object."""
    extras = {
        name: value
        for name, value in row.items()
        if name not in REVIEW_FIELDS
        and isinstance(value, str | int | float | bool)
        and not (isinstance(value, float) and not math.isfinite(value))
    }
    return json.dumps(extras, sort_keys=True, ensure_ascii=False) if extras else None


def _json(details: dict[str, Any]) -> str:
    try:
        return json.dumps(details, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except ValueError:  # NaN and infinity are no JSON: null
        return _json(from_json(to_json(details, inf_nan_mode="null")))


def _item(row: dict[str, Any]) -> tuple[Any, ...]:
    said = said_of(row)
    categories = said["categories"]
    category = (
        Category(categories[-1], "categories")
        if categories
        else categorize(said["title"], said["features"], row.get("details") or {})
    )
    price = row.get("price")
    found = {
        **said,
        "raw_price": _name(price if isinstance(price, str) else None),
        "category": category.name,
        "category_source": category.source,
        "average_rating": row.get("average_rating"),
        "rating_number": row.get("rating_number"),
    }
    return tuple(found[column] for column in ITEM_SCHEMA)


def _clean_list(texts: list[str] | None) -> list[str]:
    return [cleaned for text in texts or () if (cleaned := clean_text(text))]
