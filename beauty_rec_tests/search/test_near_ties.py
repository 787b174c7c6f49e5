"""Orders and ranks that no rounding turns over."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beauty_rec.search.near_ties import ranked, ranks_in_lists, steadied
from beauty_rec.search.protocol import SearchResult


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


def test_steadied_gives_one_list_whatever_the_order_of_its_ties() -> None:
    places = {name: place for place, name in enumerate("abcde")}
    answers = (
        SearchResult([["c", "e", "b", "a"]], np.array([[0.9, 0.5, 0.5, 0.5]], np.float32)),
        SearchResult([["c", "a", "b", "e"]], np.array([[0.9, 0.5, 0.5, 0.5]], np.float32)),
    )
    for found in answers:
        steady = steadied(found, places, 3)
        assert steady.ids == [["c", "a", "b"]]
        assert steady.scores.tolist() == found.scores[:, :3].tolist()
    none = steadied(SearchResult([], np.empty((0, 4), np.float32)), places, 3)
    assert none.scores.shape == (0, 3)


def test_near_ties_of_a_list_share_their_mean_rank() -> None:
    near = [0.3, 0.3 + 5e-8, 0.3 - 5e-8, 0.3 + 1e-6, 0.1]
    scores = np.array([*near, 0.2, np.nan, 0.1, np.nan, 0.7], np.float32)
    # Three level below one; one below another, beside one without a score; none has its own.
    ranks = ranks_in_lists(scores, np.array([0, 5, 8]), np.array([0, 7, 8]))
    np.testing.assert_array_equal(ranks, [3.0, 2.0, np.nan])
    nothing = np.zeros(0, np.int64)
    assert len(ranks_in_lists(scores[:0], nothing, nothing)) == 0
