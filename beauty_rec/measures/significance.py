"""Paired tests between two methods on the same queries.

``compare`` reads the ranks of two methods and tests each metric: exact McNemar for recall@k, which
is a yes or no per query, and random sign flips for MRR and NDCG. p-values are two-sided and not
adjusted for the number of comparisons.
"""

import numpy as np
from numpy.typing import NDArray

from beauty_rec.measures.intervals import bootstrap_intervals, cluster_sums, draws, ends_of
from beauty_rec.measures.metrics import DEEP_CUT, Ranks, per_query

ALPHA = 0.05
FLIPS = 10_000
CLUSTERED_FLIPS = 2_000
"""Clustered tests stand beside every part of an answer: fewer flips tell as much. Neither these nor
the seed are a setting: what is served, what is refused and the report test the same."""


def beyond_chance(p: float, tests: int = 1) -> bool:
    """Tell whether a p-value says so, as one of several tests of which any may decide.

    Bonferroni's: of so many tests without a difference one in 1 / :data:`ALPHA` families errs at
    most (Dunn, Multiple comparisons among means, JASA 1961).

    >>> beyond_chance(0.047), beyond_chance(0.047, tests=4)
    (True, False)
    """
    return p * tests < ALPHA


def mcnemar(hits: NDArray[np.float64], baseline_hits: NDArray[np.float64]) -> float:
    """Return the exact two-sided p-value that two methods hit equally often.

    Only queries that one method hits and the other misses count; under the hypothesis they are
    fair coin tosses (McNemar, Psychometrika 1947). 1.0 when there is none.
    """
    from scipy.stats import binomtest

    _check_pairs(hits, baseline_hits)
    won = int(np.count_nonzero(hits > baseline_hits))
    lost = int(np.count_nonzero(hits < baseline_hits))
    return float(binomtest(won, won + lost, 0.5).pvalue) if won + lost else 1.0


def sign_flip_test(
    values: NDArray[np.float64],
    baseline_values: NDArray[np.float64],
    *,
    clusters: NDArray[np.int64] | None = None,
    samples: int = FLIPS,
    seed: int = 13,
) -> float:
    """Return the two-sided p-value of Fisher's paired randomisation test on the mean difference.

    Under the hypothesis the two methods' values of a query are exchangeable, so each difference
    has either sign with equal chance; p = (1 + flips at least as extreme) / (1 + samples). Smucker,
    Allan and Carterette, A comparison of statistical significance tests for information retrieval
    evaluation, CIKM 2007. Equal sizes of difference are flipped together by one binomial draw.
    With ``clusters`` (int ``[Q]``) all queries of a cluster, such as a user's, get one sign.
    """
    _check_pairs(values, baseline_values)
    sums, _ = cluster_sums((values - baseline_values)[:, None], clusters)
    difference = sums[:, 0]
    sizes, counts = np.unique(np.abs(difference[difference != 0]), return_counts=True)
    if not len(sizes):
        return 1.0
    observed = abs(difference.sum()) * (1 - 1e-9)  # sums in another order may differ by rounding
    random = np.random.default_rng(seed)
    extreme = 0
    for size in draws(samples, len(sizes)):
        signs = 2 * random.binomial(counts, 0.5, size=(size, len(sizes))) - counts
        extreme += int(np.count_nonzero(np.abs(signs @ sizes) >= observed))
    return (1 + extreme) / (1 + samples)


def compare(
    ranks: Ranks,
    baseline_ranks: Ranks,
    *,
    clusters: NDArray[np.int64] | None = None,
    samples: int = 1_000,
    seed: int = 13,
) -> dict[str, dict[str, float | list[float] | None]]:
    """Compare a method with a baseline on the same queries, metric by metric.

    Args:
        ranks, baseline_ranks: float64 ``[Q]``.
        clusters: int ``[Q]``, whose queries are resampled together; then recall is tested by sign
            flips of clusters, too. None: each query alone.
        samples, seed: of the bootstrap.

    Returns:
        ``{metric: {"difference", "interval": [low, high], "p"}}``; difference is method minus
        baseline, its 95% interval a paired bootstrap of ``samples``, None below two clusters. Empty
        without a query.

    Raises:
        ValueError: the two have different numbers of queries.
    """
    _check_pairs(ranks, baseline_ranks)
    if not len(ranks):
        return {}
    ours, theirs = per_query(ranks), per_query(baseline_ranks)
    # The deep NDCG is reported, and nothing is decided by it.
    tested = [metric for metric in ours if metric != f"ndcg@{DEEP_CUT}"]
    differences = np.column_stack([ours[metric] - theirs[metric] for metric in tested])
    intervals = bootstrap_intervals(
        differences, clusters=clusters, samples=samples, seed=seed, signed=True
    )
    found: dict[str, dict[str, float | list[float] | None]] = {}
    for metric, interval in zip(tested, intervals, strict=True):
        if metric.startswith("recall@") and clusters is None:
            p = mcnemar(ours[metric], theirs[metric])
        else:
            flips = FLIPS if clusters is None else CLUSTERED_FLIPS
            p = sign_flip_test(ours[metric], theirs[metric], clusters=clusters, samples=flips)
        difference = float((ours[metric] - theirs[metric]).mean())
        found[metric] = {"difference": difference, "interval": ends_of(interval), "p": p}
    return found


def _check_pairs(first: NDArray[np.float64], second: NDArray[np.float64]) -> None:
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"pairs of shapes {first.shape} and {second.shape} are not pairs")
