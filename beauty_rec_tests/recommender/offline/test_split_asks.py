"""The asks of a split, all of them or some."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from beauty_rec.events.asked import OtherEventsError, known_events
from beauty_rec.recommender.offline.lists import CandidateLists
from beauty_rec.recommender.offline.scenarios import has_contexts, scenarios_of
from beauty_rec.recommender.offline.split_asks import SplitAsks, split_asks
from beauty_rec.settings import Settings
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


def test_candidates_of_other_events_than_a_split_has_now_are_refused(
    reviews: pl.DataFrame, profiles: pl.DataFrame, tmp_path: Path
) -> None:
    settings, reviews = Settings(data_dir=tmp_path), reviews.with_columns(text=pl.lit(""))
    _, events = known_events(reviews, "valid", settings, tmp_path)
    drawn = drawn_lists(events.height, 3, 1, scenario="without_text")
    lists = replace(drawn, review_ids=events["review_id"].to_list())

    def asked(rows: pl.DataFrame) -> SplitAsks:
        return split_asks(lists, rows, "valid", profiles, settings, tmp_path)

    assert len(asked(reviews).queries()) == events.height
    moved = pl.col("review_id").is_in(events["review_id"].head(5).implode())  # the cut, past them
    later = reviews.with_columns(split=pl.when(moved).then(pl.lit("train")).otherwise("split"))
    with pytest.raises(OtherEventsError, match=r"events: 5 of its .*user_candidates\+{3} "):
        asked(later)


def test_a_split_is_asked_as_if_no_later_one_were_there(
    reviews: pl.DataFrame, tmp_path: Path
) -> None:
    """A shop may have noted occasions only lately."""
    settings, later = Settings(data_dir=tmp_path), pl.col("split") == "test"
    reviews = reviews.with_columns(
        text=pl.lit("a text of its own"), context=pl.when(later).then("context")
    )
    asked, events = known_events(reviews, "valid", settings, tmp_path)
    alone, same = known_events(reviews.filter(~later), "valid", settings, tmp_path)
    assert events.equals(same)
    assert scenarios_of(asked, False) == scenarios_of(alone, False)
    assert not has_contexts(asked)
    assert asked["parent_asin"].equals(reviews["parent_asin"])  # they name the answer set
    assert has_contexts(known_events(reviews, "test", settings, tmp_path)[0])
