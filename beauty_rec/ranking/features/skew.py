"""The skew between training and serving: are a request's features what the model learned from?

Two questions: has the distribution of a feature moved since training, and is a request's feature
the same number as in the batch that measured the model?
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.ranking.features.build import FeatureBuilder
from beauty_rec.ranking.features.frames import candidates_from, queries_from
from beauty_rec.ranking.features.spec import FeatureSpec

ALONE = 16
"""Events whose features are built one by one, as a request's are."""


def feature_skew(
    builder: FeatureBuilder,
    events: pl.DataFrame,
    candidates: pl.DataFrame,
    profiles: pl.DataFrame,
) -> tuple[dict[str, float], float]:
    """Return the shift of each dense feature, and the largest difference when built alone.

    Args:
        builder: of the reranker, with the statistics of its training candidates.
        events, candidates, profiles: as in :func:`beauty_rec.ranking.apply.reorder`.

    Returns:
        Feature → ``(mean here - mean in training) / deviation in training``, of the values that are
        there, left out where there are none; and the largest absolute difference between a value
        built for one request and the same value built in the batch (0 when they agree).
    """
    raw = _raw(builder, events, candidates, profiles)
    alone = 0.0
    for row in range(min(ALONE, events.height)):
        event = events[row]
        mine = candidates.filter(review_id=event["review_id"][0])
        one = _raw(builder, event, mine, profiles)
        batch = _raw(builder, events[: row + 1], mine, profiles)
        alone = max(alone, _largest_difference(one, batch))
    return shift(builder.spec, raw), alone


def shift(spec: FeatureSpec, raw: NDArray[np.float32]) -> dict[str, float]:
    """Return how far the mean of each column of ``raw`` [N, len(spec.raw)] has moved."""
    found = {}
    for column, name in enumerate(spec.raw):
        values = raw[:, column][~np.isnan(raw[:, column])].astype(np.float64)
        if len(values):
            found[name] = float((values.mean() - spec.mean[column]) / spec.std[column])
    return found


def _raw(
    builder: FeatureBuilder, events: pl.DataFrame, candidates: pl.DataFrame, profiles: pl.DataFrame
) -> NDArray[np.float32]:
    found, _ = candidates_from(candidates, events)
    return builder.build(queries_from(events, profiles), found).raw


def _largest_difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    if one.shape != other.shape or not np.array_equal(np.isnan(one), np.isnan(other)):
        return float("inf")
    return float(np.nan_to_num(np.abs(one - other)).max(initial=0.0))
