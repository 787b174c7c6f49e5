"""95% confidence intervals of a mean over queries.

Wilson's treats queries as independent draws; the bootstrap draws them one by one, or by cluster,
since the queries of one user are alike. Resampling works on the distinct values and their counts:
drawing n clusters with replacement makes the counts multinomial, so a sample costs as many draws as
there are distinct values (a few hundred for MRR) and not as many as there are queries.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

LEVEL = 0.95
_DRAWS_AT_A_TIME = 4_000_000

Interval = tuple[float, float]


def wilson_interval(successes: float, trials: int, level: float = LEVEL) -> Interval:
    """Return Wilson's score interval of a proportion; (NaN, NaN) without a trial.

    ``(p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)``. Wilson, Probable inference, the law of
    succession, and statistical inference, JASA 1927.
    """
    if trials == 0:
        return float("nan"), float("nan")
    z = float(ndtri(0.5 + level / 2))
    p = successes / trials
    centre = p + z * z / (2 * trials)
    spread = z * np.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # At the ends of the scale the formula gives exactly 0 and 1, but for rounding.
    low = 0.0 if successes == 0 else float((centre - spread) / scale)
    high = 1.0 if successes == trials else float((centre + spread) / scale)
    return low, high


def bootstrap_intervals(
    values: NDArray[np.float64],
    *,
    clusters: NDArray[np.int64] | None = None,
    samples: int = 1_000,
    seed: int = 13,
    signed: bool = False,
) -> list[Interval]:
    """Return the percentile bootstrap intervals of the means of M metrics, ``values`` ``[Q, M]``.

    (NaN, NaN) below two clusters, which tell no spread. Where all clusters are 0, or all 1, there
    is nothing to draw from, and few clusters do not make it certain: the interval is Wilson's, of
    as many trials as there are clusters. Efron and Tibshirani, An Introduction to
    the Bootstrap, 1993, chapter 13. All metrics are resampled by the same draws. The same seed
    gives the same intervals, whatever the order of the values.

    Args:
        values: of the queries.
        clusters: int ``[Q]``, whose queries are drawn together, such as a user's; None: each alone.
        samples: how many are drawn.
        seed: of the draws.
        signed: the values are differences: 0 is no end of their scale.
    """
    metrics = values.shape[1]
    sums, sizes = cluster_sums(values, clusters)
    if len(sums) < 2:
        return [(float("nan"), float("nan"))] * metrics
    distinct, counts = _distinct(np.column_stack([sums, sizes]))
    random = np.random.default_rng(seed)
    shares = counts / counts.sum()
    means = []
    for size in draws(samples, len(distinct)):
        drawn = random.multinomial(len(sums), shares, size=size) @ distinct
        means.append(drawn[:, :metrics] / drawn[:, metrics:])
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.quantile(np.concatenate(means), ends, axis=0)
    found = list(zip(low.tolist(), high.tolist(), strict=True))
    for metric, own in enumerate([] if signed else sums.T):
        if not own.any() or (own == sizes).all():
            found[metric] = wilson_interval(len(sums) if own.any() else 0, len(sums))
    return found


def ends_of(interval: Interval) -> list[float] | None:
    """Return the ends of an interval for JSON, which knows no NaN; None where they are unknown."""
    return None if np.isnan(interval).any() else list(interval)


def cluster_sums(
    values: NDArray[np.float64], clusters: NDArray[np.int64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sums ``[C, M]`` and sizes ``[C]`` of the clusters of ``values`` ``[Q, M]``."""
    if clusters is None:
        return values, np.ones(len(values))
    _, place = np.unique(clusters, return_inverse=True)
    sums = np.column_stack([np.bincount(place, own).astype(np.float64) for own in values.T])
    return sums, np.bincount(place).astype(np.float64)


def _distinct(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the distinct ``rows`` [n, M] in order, and how often each stands there."""
    ordered = rows[np.lexsort(rows.T)]
    first = np.ones(len(ordered), bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    places = np.flatnonzero(first)
    return ordered[places], np.diff(places, append=len(ordered))


def draws(samples: int, width: int) -> Iterator[int]:
    """Split ``samples`` rows of ``width`` draws into sizes that fit in memory."""
    step = max(1, _DRAWS_AT_A_TIME // max(width, 1))
    for start in range(0, samples, step):
        yield min(step, samples - start)
