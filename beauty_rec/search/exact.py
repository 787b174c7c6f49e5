"""Exact search in memory: the reference of every other index, and good enough to 100 k items."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.search.protocol import SearchResult
from beauty_rec.search.top import top_k

QUERIES_AT_ONCE = 256
CHUNK = 512


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
            block = queries[start : start + QUERIES_AT_ONCE] @ self._matrix.T  # [B, N]
            best, scores[start : start + len(block)] = top_k(block, k)
            ids.extend(self._ids[row].tolist() for row in best)
        return SearchResult(ids, scores)


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
    rows = np.ascontiguousarray(matrix).view(f"V{matrix.itemsize * matrix.shape[1]}")[:, 0]
    _, first, place = np.unique(rows, return_index=True, return_inverse=True)
    distinct = np.ascontiguousarray(matrix[first].T)
    for start in range(0, len(user_vectors), CHUNK):
        block = (user_vectors[start : start + CHUNK] @ distinct)[:, place]
        for row, items in enumerate(seen[start : start + CHUNK]):
            block[row, items] = -np.inf
        yield slice(start, start + len(block)), block
