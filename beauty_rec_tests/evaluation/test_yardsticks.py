"""Popularity as the asks of valid are answered by it: the choice of what is served looks at it."""

import numpy as np
import polars as pl
import pytest

from beauty_rec.evaluation.yardsticks import (
    POPULARITIES,
    AskedEvents,
    Recencies,
    popularity_gains,
    popularity_ranks,
    reads_occasion,
)
from beauty_rec.events.asked import split_events
from beauty_rec.measures.metrics import ndcg_at
from beauty_rec.settings import Settings


@pytest.fixture
def reviews() -> pl.DataFrame:
    """Item a sells most, b at parties; three events of valid, the last without an occasion."""
    contexts = [*["work"] * 6, *["party"] * 3, "party", "work", None]
    return pl.DataFrame(
        {
            "review_id": [f"r{n:02}" for n in range(12)],
            "user_id": [f"u{n}" for n in range(12)],
            "parent_asin": [*"aaaaaa", *"bbb", "b", "c", "a"],
            "timestamp": list(range(12)),
            "rating": [5.0] * 12,
            "context": contexts,
            "split": [*["train"] * 9, *["valid"] * 3],
        }
    )


def test_each_ask_has_the_gain_of_its_event_and_an_occasion_only_where_it_is_told(
    reviews: pl.DataFrame,
) -> None:
    events, ids = split_events(reviews, "valid", Settings()), ["a", "b", "c"]
    asked = [("r09", "with_text"), ("r11", "without_text"), ("r09", "without_text")]
    names, scenarios = zip(*asked, strict=True)
    found = popularity_gains(names, scenarios, events, reviews, ids)
    assert set(found) == set(POPULARITIES)
    plain = AskedEvents.of(events, reviews, ids)
    ranks = popularity_ranks(plain, Recencies.chosen(plain))
    place = [events["review_id"].to_list().index(name) for name in names]
    for name in POPULARITIES[:2]:
        np.testing.assert_array_equal(found[name], ndcg_at(ranks[name])[place])
    assert found["popularity"].tolist() == [ndcg_at(np.array(2.0)), 1, ndcg_at(np.array(2.0))]
    assert found["context_popularity"][0] == 1  # b sells at parties
    assert np.isnan(found["context_popularity"][1:]).all()


def test_the_words_of_a_review_are_no_occasion(reviews: pl.DataFrame) -> None:
    bare = reviews.with_columns(context=pl.lit(None, dtype=pl.String))
    assert reads_occasion("with_text", reviews)
    for scenario, known in (
        ("without_text", reviews),
        ("review_text", reviews),
        ("with_text", bare),
    ):
        assert not reads_occasion(scenario, known)
