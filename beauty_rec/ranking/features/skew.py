"""The skew between training and serving: are a request's features what the model learned from?

Two questions: has the distribution of a feature moved since training, and is a request's feature
the same number as in the batch that measured the model?
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from beauty_rec.ranking.features.build import Candidates, FeatureBuilder, Query
from beauty_rec.ranking.features.spec import FeatureSpec

ALONE = 16
"""Events whose features are built one by one, as a request's are."""


def feature_skew(
    builder: FeatureBuilder, queries: Sequence[Query], candidates: Candidates
) -> tuple[dict[str, float], float]:
    """Return the shift of each dense feature, and the largest difference when built alone.

    Args:
        builder: of the reranker, with the statistics of its training candidates.
        queries, candidates: as for :meth:`FeatureBuilder.build`.

    Returns:
        Feature → ``(mean here - mean in training) / deviation in training``, of the values that are
        there, left out where there are none; and the largest absolute difference between a value
        built for one request and the same value built in the batch (0 when they agree).
    """
    raw = builder.build(queries, candidates).raw
    alone = 0.0
    for query in range(min(ALONE, len(queries))):
        rows = np.flatnonzero(candidates.query_row == query)
        mine = candidates.take(rows)
        one = Candidates(np.zeros(len(rows), np.int64), mine.items, mine.retrieval)
        built = builder.build([queries[query]], one).raw
        alone = max(alone, _largest_difference(built, raw[rows]))
    return shift(builder.spec, raw), alone


def shift(spec: FeatureSpec, raw: NDArray[np.float32]) -> dict[str, float]:
    """Return how far the mean of each column of ``raw`` [N, len(spec.raw)] has moved."""
    found = {}
    for column, name in enumerate(spec.raw):
        values = raw[:, column][~np.isnan(raw[:, column])].astype(np.float64)
        if len(values):
            found[name] = float((values.mean() - spec.mean[column]) / spec.std[column])
    return found


def _largest_difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    if one.shape != other.shape or not np.array_equal(np.isnan(one), np.isnan(other)):
        return float("inf")
    return float(np.nan_to_num(np.abs(one - other)).max(initial=0.0))
