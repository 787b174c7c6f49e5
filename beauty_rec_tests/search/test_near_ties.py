"""Orders and ranks that no rounding turns over."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from beauty_rec.search.near_ties import ranked, smooth_ranks

SCORES = st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=30)


@given(st.lists(st.floats(-50, 50, width=32), max_size=30))
def test_ranked_sorts_and_forgives_rounding(scores: list[float]) -> None:
    values = np.array(scores, dtype=np.float32)
    order = ranked(values, np.arange(len(values)))
    assert sorted(order.tolist()) == list(range(len(values)))
    largest = max(map(abs, scores), default=0)
    assert (np.diff(values[order]) <= largest * 2e-5 + 1e-30).all()


def test_ranked_orders_near_ties_by_place() -> None:
    near = np.array([18.523218, 18.523220, 20.0], dtype=np.float32)
    assert ranked(near, np.array([1, 2, 3])).tolist() == [2, 0, 1]
    assert ranked(near[[1, 0, 2]], np.array([2, 1, 3])).tolist() == [2, 1, 0]


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=30))
def test_smooth_ranks_of_scores_far_apart_are_plain_ranks(scores: list[int]) -> None:
    values = np.array(scores, dtype=np.float32)
    found = smooth_ranks(-np.sort(-values), values, 0.5)
    np.testing.assert_allclose(found, rankdata(-values, method="min"), atol=1e-4)


@given(SCORES, st.integers(0, 2**32 - 1))
def test_rounding_moves_no_smooth_rank_by_a_step(scores: list[float], seed: int) -> None:
    values = np.array(scores, dtype=np.float32)
    noise = np.random.default_rng(seed).uniform(-1e-4, 1e-4, len(values)).astype(np.float32)
    moved = values + noise
    before = smooth_ranks(-np.sort(-values), values, 0.1)
    after = smooth_ranks(-np.sort(-moved), moved, 0.1)
    # Both scores of a pair move by at most 1e-4, plus float32 rounding at 50.
    assert np.abs(after - before).max() <= len(values) * 2.2e-4 / 0.1


def test_a_better_score_counts_in_proportion_when_near() -> None:
    best = np.array([1.0, 0.75], dtype=np.float32)
    values = np.array([1.0, 0.75, 0.5, 2.0], dtype=np.float32)
    assert smooth_ranks(best, values, 0.5).tolist() == [1.0, 1.5, 2.5, 1.0]
