"""The asks of a split, all of them or some."""

import polars as pl

from beauty_rec.recommender.offline.lists import CandidateLists
from beauty_rec.recommender.offline.split_asks import SplitAsks
from beauty_rec_tests.recommender.drawn_lists import drawn_lists


def test_some_asks_keep_their_candidates_and_all_scenarios_of_an_event() -> None:
    asked = drawn_lists(9, 5, 1)
    bare = drawn_lists(9, 5, 1, scenario="without_text")
    asks = SplitAsks(CandidateLists.joined([asked, bare]), {}, pl.DataFrame())
    some = asks.sampled(4, seed=3).lists
    assert sorted(some.review_ids[:4]) == sorted(some.review_ids[4:])
    assert some.scenarios == ["with_text"] * 4 + ["without_text"] * 4
    for place, name in enumerate(some.review_ids[:4]):
        before = asked.items.filter(pl.Series(asked.ask == asked.review_ids.index(name)))
        assert some.items.filter(pl.Series(some.ask == place)).to_list() == before.to_list()
    assert asks.sampled(4, seed=3).lists.review_ids == some.review_ids
    assert asks.sampled(99, seed=3).lists.review_ids == asks.lists.review_ids
