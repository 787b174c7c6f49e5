"""How a reranker's training went, with transfer and without: figures against steps."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from beauty_rec.measures.metrics import ndcg_at

History = Sequence[dict[str, float]]


def ndcg_of_lists(
    labels: NDArray[np.float32], scores: NDArray[np.float32], query_row: NDArray[np.int64]
) -> float:
    """Return the mean NDCG@10 of lists ordered by ``scores``; each has one answer at most.

    Of equal scores the answer stands in the middle. A list without its answer counts as 0.

    Args:
        labels: ``[N]``, 1 for the answer.
        scores: ``[N]``.
        query_row: int ``[N]``, the list of each candidate, ascending.
    """
    if not len(labels):
        return float("nan")
    starts = np.flatnonzero(np.diff(query_row, prepend=query_row[0] - 1))
    lengths = np.diff(np.append(starts, len(labels)))
    own = np.maximum.reduceat(np.where(labels > 0.5, scores, -np.inf), starts)
    answer = np.repeat(own, lengths)
    higher = np.add.reduceat((scores > answer).astype(np.int64), starts)
    level = np.add.reduceat((scores == answer).astype(np.int64), starts)
    rank = np.where(np.isfinite(own), higher + (level + 1) / 2, np.inf)
    return float(ndcg_at(rank).mean())
