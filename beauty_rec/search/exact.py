"""Exact search in memory: the reference of every other index, and good enough to 100 k items."""

import numpy as np
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.search.protocol import SearchResult

QUERIES_AT_ONCE = 256


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
        k = min(k, len(self._ids))
        ids: list[list[str]] = []
        scores = np.empty((len(queries), k), dtype=np.float32)
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            block = queries[start : start + QUERIES_AT_ONCE] @ self._matrix.T  # [B, N]
            best = np.argpartition(-block, k - 1, axis=1)[:, :k] if k else _no_columns(block)
            best.sort(axis=1)
            order = np.argsort(-np.take_along_axis(block, best, axis=1), axis=1, kind="stable")
            best = np.take_along_axis(best, order, axis=1)
            scores[start : start + len(block)] = np.take_along_axis(block, best, axis=1)
            ids.extend(self._ids[row].tolist() for row in best)
        return SearchResult(ids, scores)


def _no_columns(block: NDArray[np.float32]) -> NDArray[np.intp]:
    return np.empty((len(block), 0), dtype=np.intp)
