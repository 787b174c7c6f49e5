"""The best of many scores against sorting them all."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from beauty_rec.search.top import leading, top_k

SCORES = arrays(
    np.float32,
    st.integers(0, 1_500),
    elements=st.sampled_from([-np.inf, -1.5, 0, 0.25, 3, 4]) | st.floats(-9, 9, width=32),
    fill=st.sampled_from([-np.inf, 0, 1]),
)


@given(SCORES, st.integers(0, 60))
def test_like_sorting_all(scores: np.ndarray, k: int) -> None:
    rows, values = leading(scores, k)
    best = -np.sort(-scores)[:k]
    np.testing.assert_array_equal(values, best[best > -np.inf])
    np.testing.assert_array_equal(scores[rows], values)
    np.testing.assert_array_equal(rows, np.argsort(-scores, kind="stable")[: len(rows)])


def test_many_scores_by_an_independent_sort() -> None:
    scores = np.random.default_rng(0).permutation(100_003).astype(np.float32)
    rows, _ = leading(scores, 1_024)
    np.testing.assert_array_equal(rows, np.argsort(-scores)[:1_024])


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(0, 5), st.integers(0, 40)),
        elements=st.sampled_from([-np.inf, np.nan, -1.5, 0, 0.25, 3]),
    ),
    st.integers(0, 60),
)
def test_top_k_is_a_stable_sort_of_each_row(scores: np.ndarray, k: int) -> None:
    columns, values = top_k(scores, k)
    known = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(-known, axis=1, kind="stable")[:, :k]
    expected = np.take_along_axis(known, order, axis=1)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(columns, np.where(expected == -np.inf, -1, order))
