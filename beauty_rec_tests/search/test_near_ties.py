"""Orders and ranks that no rounding turns over."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beauty_rec.search.near_ties import ranked


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
