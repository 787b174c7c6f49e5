"""Scores of many sources on one scale, and their weighted sums, against plain loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from beauty_rec.recommender.fusion import BENEATH, fused, normalised

SIGNED = (True, False)
floats = st.floats(-10, 10, width=32)
columns = st.lists(
    st.tuples(st.none() | floats, st.none() | st.floats(0.0078125, 10, width=32)),
    min_size=1,
    max_size=20,
)


def as_array(rows: list[tuple[float | None, float | None]]) -> np.ndarray:
    return np.array([[math.nan if v is None else v for v in row] for row in rows], np.float32)


@given(columns, st.integers(1, 20))
def test_scores_of_one_ask_lie_on_one_scale(
    rows: list[tuple[float | None, float | None]], last: int
) -> None:
    scores = as_array(rows)
    tops = np.full((2, 2), np.nan, np.float32)
    for column in range(2):
        known = np.sort(scores[~np.isnan(scores[:, column]), column])[::-1]
        if len(known):
            tops[column] = known[0], known[:last][-1]
    found = normalised(scores, tops, SIGNED)
    assert found.dtype == np.float32
    for row, (signed, positive) in zip(found, scores, strict=True):
        if math.isnan(signed):
            assert row[0] == 0
        else:
            best, end = map(float, tops[0])
            wanted = (float(signed) - end) / max(best - end, 1e-6)
            if wanted < -1:
                below = math.log(-wanted)
                wanted = -1 - BENEATH * below / (1 + below)
            assert row[0] == pytest.approx(min(1, wanted), rel=1e-3, abs=1e-3)
        if math.isnan(positive):
            assert row[1] == 0
        else:
            assert row[1] == pytest.approx(float(positive) / float(tops[1, 0]), rel=1e-5)
    # Row by row: the same, each ask with its own tops.
    each = normalised(scores, np.repeat(tops[None], len(scores), axis=0), SIGNED)
    np.testing.assert_array_equal(each, found)


def test_the_best_is_one_and_the_last_candidate_of_a_signed_source_nought() -> None:
    scores = np.array([[2.0, 8.0], [-1.0, 2.0], [-4.0, np.nan], [-np.inf, -np.inf]], np.float32)
    tops = np.array([[2.0, -1.0], [8.0, 2.0]], np.float32)
    found = normalised(scores, tops, SIGNED)
    assert found[:3].tolist() == [[1, 1], [0, 0.25], [-1, 0]]
    np.testing.assert_allclose(found[3], [-1 - BENEATH, -BENEATH])


@pytest.mark.parametrize("best", [3.0, -0.5], ids=["some like it", "nothing does"])
def test_what_lies_far_below_keeps_its_order(best: float) -> None:
    """A filter may leave only items that a source thinks little of."""
    drawn = np.random.default_rng(0).uniform(-40, best, (5_000, 1)).astype(np.float32)
    scores: NDArray[np.float32] = np.repeat(np.sort(drawn, axis=0)[::-1], 2, axis=1)
    tops: NDArray[np.float32] = np.repeat(scores[[0, 99], :1].T, 2, axis=0)
    found = normalised(scores, tops, SIGNED)
    assert (found > [-1 - BENEATH, -BENEATH]).all()
    assert (np.diff(found, axis=0) <= 0).all()
    distinct = [len(np.unique(found[:, column])) for column in range(2)]
    assert min(distinct) > 0.95 * len(np.unique(scores[:, 0])), distinct


def test_fused_adds_what_has_a_weight() -> None:
    values = np.array([[1, 0.5, 0.25], [0, 1, 0]], np.float32)
    found = fused(values, ["a", "b", "c"], {"c": 2.0, "a": 1.0, "unknown": 9.0})
    assert found.tolist() == [1.5, 0.0]
    assert fused(values, ["a", "b", "c"], {}).tolist() == [0, 0]
