"""Exact search in memory: the reference of every other index, and good enough to 100 k items."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.search.protocol import SearchResult
from beauty_rec.search.top import top_k

QUERIES_AT_ONCE = 256
ITEMS_AT_ONCE = 32_768
"""Whose scores stand beside one another: 32 MB, whatever the size of the shop."""
CHUNK_BYTES = 64 << 20
MOST_QUERIES = 512
FACTORS = 2**64 - 1
"""The largest of a hash."""


class ExactIndex:
    """Brute-force inner product over ``vectors``. Ties are broken by the order of the items."""

    def __init__(self, vectors: Vectors) -> None:
        self._ids = np.asarray(vectors.ids, dtype=object)
        self._matrix = np.asarray(vectors.matrix, dtype=np.float32)

    def count(self) -> int:
        """Return the number of vectors."""
        return len(self._ids)

    def search(self, queries: NDArray[np.float32], k: int) -> SearchResult:
        """See :class:`~beauty_rec.search.protocol.VectorIndex`."""
        ids: list[list[str]] = []
        scores = np.empty((len(queries), min(k, len(self._ids))), dtype=np.float32)
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            asked = queries[start : start + QUERIES_AT_ONCE]
            best, scores[start : start + len(asked)] = _best(asked, self._matrix, k)
            ids.extend(self._ids[row].tolist() for row in best)
        return SearchResult(ids, scores)


def _best(
    queries: NDArray[np.float32], matrix: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return :func:`top_k` of ``queries @ matrix.T``, block by block of the items."""
    rows, scores = top_k(queries @ matrix[:ITEMS_AT_ONCE].T, k)
    for start in range(ITEMS_AT_ONCE, len(matrix), ITEMS_AT_ONCE):
        further, values = top_k(queries @ matrix[start : start + ITEMS_AT_ONCE].T, k)
        both = np.concatenate([rows, np.where(further < 0, -1, further + start)], axis=1)
        # Of equal scores the earlier place is the lower row, here as there.
        place, scores = top_k(np.concatenate([scores, values], axis=1), k)
        rows = np.where(place < 0, -1, np.take_along_axis(both, np.maximum(place, 0), axis=1))
    return rows, scores


def unseen_scores(
    user_vectors: NDArray[np.float32],
    matrix: NDArray[np.float32],
    seen: Sequence[NDArray[np.int64]],
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield (rows, ``[b, N]`` inner products) chunk by chunk; seen items score -inf.

    Equal rows of ``matrix`` are multiplied once: a matrix product may round them unequally,
    depending on where they stand, and items that nothing tells apart must stay ties.

    Args:
        user_vectors: ``[B, W]``.
        matrix: ``[N, W]``.
        seen: per user the rows of ``matrix`` that are left out.
    """
    first, place = distinct_rows(matrix)
    distinct = matrix if len(first) == len(matrix) else np.ascontiguousarray(matrix[first])
    step = max(1, min(MOST_QUERIES, CHUNK_BYTES // (4 * max(len(matrix), 1))))
    for start in range(0, len(user_vectors), step):
        block = user_vectors[start : start + step] @ distinct.T
        if distinct is not matrix:
            block = block[:, place]
        for row, items in enumerate(seen[start : start + step]):
            block[row, items] = -np.inf
        yield slice(start, start + len(block)), block


def distinct_rows(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first row of each kind, and for every row which kind it is of.

    Rows of the same bytes are of one kind. They are told apart by a hash, which takes one pass
    over the matrix and sorts numbers, not rows; what has one hash is compared.

    Args:
        matrix: float32 ``[N, W]``.
    """
    bits = np.ascontiguousarray(matrix, dtype=np.float32).view(np.uint32)
    factors = np.random.default_rng(0).integers(0, FACTORS, bits.shape[1], np.uint64, endpoint=True)
    step = max(1, CHUNK_BYTES // (8 * max(bits.shape[1], 1)))
    parts = [slice(start, start + step) for start in range(0, len(bits), step)]
    hashes = [(bits[part].astype(np.uint64) * factors).sum(axis=1) for part in parts]
    _, first, place = np.unique(
        np.concatenate([np.zeros(0, np.uint64), *hashes]), return_index=True, return_inverse=True
    )
    if len(first) < len(bits) and any(
        not np.array_equal(bits[first[place[part]]], bits[part]) for part in parts
    ):
        rows = bits.view(f"V{4 * bits.shape[1]}")[:, 0]
        _, first, place = np.unique(rows, return_index=True, return_inverse=True)
    return first, place
