"""Metrics, one small pure function each.

The first three read the rank of one answer per query (1 is best, ties share their mean rank, see
:mod:`beauty_rec.search.ranks`) and return a value per query; a metric is the mean of them.

>>> ranks = np.array([1.0, 4.0, 250.0])
>>> recall_at(ranks, 5).mean()
np.float64(0.6666666666666666)
>>> reciprocal_rank(ranks).mean()
np.float64(0.4166666666666667)
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ranks = NDArray[np.float64]
"""The rank of one answer a query, from 1; ties share their mean rank."""

RECALL_CUTS = (1, 5, 10, 20, 50, 100)
MRR_CUT = 100
NDCG_CUT = 10
DEEP_CUT = 50
"""Of a second NDCG, which published results are often given in."""


def recall_at(ranks: Ranks, k: int) -> NDArray[np.float64]:
    """``[rank <= k]`` per query: with one answer, recall@k is the hit rate."""
    return (ranks <= k).astype(np.float64)


def reciprocal_rank(ranks: Ranks, cut: int = MRR_CUT) -> NDArray[np.float64]:
    """``1 / rank`` where ``rank <= cut``, else 0; its mean is MRR."""
    return np.where(ranks <= cut, 1 / ranks, 0.0)


def ndcg_at(ranks: Ranks, k: int = NDCG_CUT) -> NDArray[np.float64]:
    """``1 / log2(1 + rank)`` where ``rank <= k``, else 0: with one answer the ideal DCG is 1.

    Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002.
    """
    return np.where(ranks <= k, 1 / np.log2(1 + ranks), 0.0)


def per_query(ranks: Ranks) -> dict[str, NDArray[np.float64]]:
    """Return every rank metric of the report as values per query, keyed by its name there."""
    values = {f"recall@{k}": recall_at(ranks, k) for k in RECALL_CUTS}
    gains = {f"ndcg@{k}": ndcg_at(ranks, k) for k in (NDCG_CUT, DEEP_CUT)}
    return {**values, "mrr": reciprocal_rank(ranks), **gains}


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """``(sum of ranks of positives - P(P+1)/2) / (P N)``: a positive scores above a negative.

    Equal scores count one half (Mann-Whitney U). NaN when one of the two classes is missing.
    """
    from scipy.stats import rankdata

    positive = np.asarray(labels).astype(bool)
    places = rankdata(np.asarray(scores))
    hits = int(positive.sum())
    misses = len(positive) - hits
    if hits == 0 or misses == 0:
        return float("nan")
    return float((places[positive].sum() - hits * (hits + 1) / 2) / (hits * misses))


def log_loss(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """``-mean(y log p + (1 - y) log(1 - p))`` in nats; p is kept 1e-15 away from 0 and 1.

    NaN without any label.

    Raises:
        ValueError: a probability outside 0..1.
    """
    y = np.asarray(labels, dtype=np.float64)
    p = np.asarray(probabilities, dtype=np.float64)
    if not len(y):
        return float("nan")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("probabilities must lie between 0 and 1")
    p = np.clip(p, 1e-15, 1 - 1e-15)
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log1p(-p)))


def log_loss_of_logits(labels: ArrayLike, logits: ArrayLike) -> float:
    """``mean(log(1 + exp(z)) - y z)`` in nats: :func:`log_loss` of 1 / (1 + exp(-z)), unclipped.

    NaN without any label.
    """
    y = np.asarray(labels)
    z = np.asarray(logits, dtype=np.float64)
    return float(np.mean(np.logaddexp(0.0, z) - y * z)) if len(y) else float("nan")


def coverage(lists: NDArray[np.int64], catalogue_size: int) -> float:
    """``|items in any list| / |catalogue|``.

    Args:
        lists: recommended items, int ``[Q, K]``; -1: an empty place.
        catalogue_size: number of items that could be recommended.
    """
    return len(np.unique(lists[lists >= 0])) / catalogue_size if catalogue_size else float("nan")


def novelty(lists: NDArray[np.int64], train_counts: NDArray[np.int64]) -> float:
    """``mean of -log2((count + 1) / sum(counts + 1))`` over all recommended places, in bits.

    Mean self-information (Zhou et al., Solving the apparent diversity-accuracy dilemma, PNAS 2010);
    add-one keeps items without an event finite. NaN when nothing was recommended.

    Args:
        lists: int ``[Q, K]``, -1: an empty place.
        train_counts: events of each item in train, int ``[N]``.
    """
    shown = lists[lists >= 0]
    if not len(shown):
        return float("nan")
    share = (train_counts + 1) / (train_counts + 1).sum()
    return float(-np.log2(share[shown]).mean())


def intra_list_diversity(lists: NDArray[np.int64], item_vectors: NDArray[np.float32]) -> float:
    """``mean over lists of mean over pairs of (1 - cosine)``; lists under two items do not count.

    Ziegler et al., Improving recommendation lists through topic diversification, WWW 2005. The
    cosines of a list of n unit vectors sum to ``(|sum of vectors|^2 - n) / 2``. NaN without a list
    of two.

    Args:
        lists: int ``[Q, K]``, -1: an empty place.
        item_vectors: float ``[N, D]``; a zero vector has cosine 0 with all.
    """
    filled = lists >= 0
    sizes = filled.sum(axis=1)
    norms = np.linalg.norm(item_vectors, axis=1)
    diversities = []
    for row in np.flatnonzero(sizes >= 2):
        shown = lists[row][filled[row]]
        length = norms[shown]
        unit = item_vectors[shown] / np.where(length > 0, length, 1)[:, None]
        total = unit.sum(axis=0, dtype=np.float64)
        n = len(shown)
        cosines = (total @ total - np.count_nonzero(length)) / 2
        diversities.append(1 - cosines / (n * (n - 1) / 2))
    return float(np.mean(diversities)) if diversities else float("nan")
