"""What every vector index can do, and how one is held against exact search."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SCORE_TOLERANCE = 1e-4
"""Scores this close, relative to the largest beyond 1, are a tie: sums depend on their order."""


@dataclass(frozen=True)
class SearchResult:
    """``ids[q]`` are the nearest items of query ``q``, best first.

    ``scores`` is float32 ``[Q, k]``: inner products, descending; ``k`` is the asked number or the
    size of the index, whichever is smaller.
    """

    ids: list[list[str]]
    scores: NDArray[np.float32]


class IndexDamagedError(RuntimeError):
    """What is served is not what was built; the message names the part and the remedy."""


class IndexBuildError(RuntimeError):
    """A freshly built index is not good enough to be served."""


@dataclass(frozen=True)
class IndexVersion:
    """What stands behind a served index.

    ``ef_search``: with what pgvector reached that recall; None of another index.
    """

    version: str
    rows: int
    dimension: int
    recall_vs_exact: float
    ef_search: int | None = None


class VectorIndex(Protocol):
    """A set of item vectors that answers nearest-neighbour queries by inner product."""

    def count(self) -> int:
        """Return the number of vectors."""
        ...

    def search(self, queries: NDArray[np.float32], k: int) -> SearchResult:
        """Return the ``k`` best items for each row of ``queries`` (float32 ``[Q, D]``)."""
        ...


def recall_against_exact(
    index: VectorIndex, exact: VectorIndex, queries: NDArray[np.float32], k: int = 100
) -> float:
    """Return the mean share of the exact top ``k`` that ``index`` finds, in 0..1.

    An answer counts when its score reaches the exact ``k``-th score, so ties count as found.
    """
    found = index.search(queries, k).scores
    wanted = exact.search(queries, k).scores
    if wanted.size == 0:
        return 1.0
    tolerance = SCORE_TOLERANCE * max(1.0, float(np.abs(wanted).max()))
    reached = found >= wanted[:, -1:] - tolerance
    return float(reached.sum(axis=1).mean() / wanted.shape[1])
