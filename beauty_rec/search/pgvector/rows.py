"""Rows of a pgvector table: what is checked before, and how they are copied."""

import math
from collections.abc import Iterable

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
"""Of an id: a row of PostgreSQL's B-tree holds 2,704 bytes, a character has up to 4."""


def check_rows(vectors: Vectors, type_: VectorType) -> None:
    """Raise ValueError unless ``vectors`` can be rows of a table.

    An id must not be doubled, empty or hold a NUL character, a value not be NaN, infinite or too
    large for ``type_``, and the dimension must be one that can be indexed.
    """
    check_matrix(vectors.matrix, type_, "vectors")
    for id_ in vectors.ids:
        if not id_ or "\0" in id_ or len(id_) > MOST_CHARS:
            raise ValueError(
                f"an id is {id_[:80]!r}: empty, longer than {MOST_CHARS} characters, "
                "or with a NUL character"
            )
    if len(set(vectors.ids)) != len(vectors.ids):
        frame = pl.Series("id", vectors.ids)
        raise ValueError(
            f"doubled ids: {frame.filter(frame.is_duplicated()).unique()[:3].to_list()}"
        )


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


def copy_rows(
    cursor: psycopg.Cursor,
    table: sql.Identifier,
    vectors: Vectors,
    near: Iterable[NDArray[np.float32]],
    type_: VectorType,
) -> None:
    """Append ``vectors``, and where each lies in the graph, to ``table`` by binary COPY."""
    pack = Vector if type_ == "vector" else HalfVector
    statement = sql.SQL("COPY {} (id, embedding, near) FROM STDIN WITH (FORMAT BINARY)")
    with cursor.copy(statement.format(table)) as copy:
        copy.set_types(["text", type_, type_])
        ids = tqdm(vectors.ids, desc="copy", unit="item", disable=None)
        for id_, vector, place in zip(ids, vectors.matrix, near, strict=True):
            copy.write_row((id_, pack(vector), pack(place)))
