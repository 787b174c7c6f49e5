"""Rows of a pgvector table: what is checked before, and how they are copied."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import psycopg
from numpy.typing import NDArray
from pgvector import HalfVector, Vector
from psycopg import sql
from tqdm import tqdm

from beauty_rec.artifacts import Vectors
from beauty_rec.settings import VectorType

MOST_DIMENSIONS: dict[VectorType, int] = {"vector": 2_000, "halfvec": 4_000}
"""What pgvector's HNSW can index."""

LARGEST_HALF = 65_504.0

MOST_CHARS = 600
"""Of an indexed text: a row of PostgreSQL's B-tree holds 2,704 bytes, a character has up to 4."""


@dataclass(frozen=True)
class ItemRows:
    """Checked rows, ready to copy: equally long lists, one entry an item."""

    ids: list[str]
    matrix: NDArray[np.float32]
    category: list[str | None]
    brand: list[str | None]
    price: list[float | None]


def item_rows(vectors: Vectors, columns: pl.DataFrame | None, type_: VectorType) -> ItemRows:
    """Check ``vectors`` and give each its filter columns.

    Args:
        vectors: float32 ``[N, D]``, of any length (the score is the inner product).
        columns: ``id`` str, ``category`` str | null, ``brand`` str | null, ``price`` f32 | null;
            items that it lacks get nulls, further items are ignored. A NaN price is no price.
            Texts are kept up to `MOST_CHARS`, see :func:`indexed`.
        type_: ``vector`` or ``halfvec``.

    Raises:
        ValueError: an id is doubled, empty, too long or not storable, a value is not finite or too
            large for ``type_``, or the dimension cannot be indexed.
    """
    check_matrix(vectors.matrix, type_, "vectors")
    check_texts(vectors.ids, "an id")
    if longest := [id_ for id_ in vectors.ids if len(id_) > MOST_CHARS]:
        raise ValueError(f"{len(longest)} ids are longer than {MOST_CHARS} characters")
    if len(set(vectors.ids)) != len(vectors.ids):
        frame = pl.Series("id", vectors.ids)
        raise ValueError(
            f"doubled ids: {frame.filter(frame.is_duplicated()).unique()[:3].to_list()}"
        )
    asked = pl.DataFrame({"id": vectors.ids}, schema={"id": pl.String})
    if columns is None:
        columns = pl.DataFrame(
            schema=dict.fromkeys(("id", "category", "brand", "price"), pl.String)
        )
    kept = columns.select(
        pl.col("id").cast(pl.String),
        pl.col("category", "brand").cast(pl.String).str.slice(0, MOST_CHARS),
        pl.col("price").cast(pl.Float32).fill_nan(None),
    )
    if kept["id"].is_duplicated().any():
        raise ValueError("the columns name an id twice")
    joined = asked.join(kept, on="id", how="left", maintain_order="left")
    for name in ("category", "brand"):
        check_texts(joined[name].drop_nulls().unique().to_list(), f"a {name}")
    return ItemRows(
        vectors.ids,
        vectors.matrix,
        joined["category"].to_list(),
        joined["brand"].to_list(),
        joined["price"].to_list(),
    )


def indexed(text: str | None) -> str | None:
    """Return ``text`` as a column keeps it, so that a filter on a long one finds its rows."""
    return None if text is None else text[:MOST_CHARS]


def check_matrix(matrix: NDArray[np.float32], type_: VectorType, what: str) -> None:
    """Raise ValueError unless ``matrix`` is ``[N, D]``, finite, and fits ``type_``."""
    if matrix.ndim != 2 or not 1 <= matrix.shape[1] <= MOST_DIMENSIONS[type_]:
        raise ValueError(
            f"{what} of shape {matrix.shape}: {type_} can index [N, 1..{MOST_DIMENSIONS[type_]}]"
        )
    largest = float(np.abs(matrix).max(initial=0))
    if not math.isfinite(largest):
        bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
        raise ValueError(f"{what} hold NaN or infinity in {len(bad)} rows, first in row {bad[0]}")
    if type_ == "halfvec" and largest > LARGEST_HALF:
        raise ValueError(f"{what} hold {largest:g}; halfvec ends at {LARGEST_HALF:g}")


def check_texts(texts: Sequence[str], what: str) -> None:
    """Raise ValueError where a text is empty or one that PostgreSQL cannot hold."""
    for text in texts:
        if not text or "\0" in text:
            raise ValueError(f"{what} is {text!r}: empty, or with a NUL character")


def copy_rows(
    cursor: psycopg.Cursor, table: sql.Identifier, rows: ItemRows, type_: VectorType
) -> None:
    """Append ``rows`` to ``table`` by binary COPY."""
    pack = Vector if type_ == "vector" else HalfVector
    statement = sql.SQL(
        "COPY {} (id, embedding, category, brand, price) FROM STDIN WITH (FORMAT BINARY)"
    ).format(table)
    with cursor.copy(statement) as copy:
        copy.set_types(["text", type_, "text", "text", "float4"])
        for id_, vector, category, brand, price in zip(
            tqdm(rows.ids, desc="copy", unit="item", disable=None),
            rows.matrix,
            rows.category,
            rows.brand,
            rows.price,
            strict=True,
        ):
            copy.write_row((id_, pack(vector), category, brand, price))
