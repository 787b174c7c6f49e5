"""Occasions are told apart however many there are, and alike in every table of a training."""

import polars as pl
import pytest

from beauty_rec.events.occasions import MOST, occasions, with_told_contexts
from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.ranking.features.spec import FeatureSpec
from beauty_rec.settings import Settings
from beauty_rec_tests.ranking import small_shop as shop


def said(contexts: list[str | None]) -> pl.DataFrame:
    return pl.DataFrame({"context": contexts}, schema={"context": pl.String})


def test_of_many_occasions_the_most_frequent_are_kept() -> None:
    often = [f"often {number:03}" for number in range(MOST - 2)]
    seldom = [f"seldom {number:03}" for number in range(50)]
    found = occasions(said([*(often * 5), *(reversed(seldom * 3)), None]))
    assert found == [*often, *seldom[:2]], "of equally frequent ones the first"


def test_few_occasions_are_all_kept_in_their_order() -> None:
    assert occasions(said([" Work", "wedding", "work", None, "Wedding", "work"])) == [
        "wedding",
        "work",
    ]
    assert occasions(pl.DataFrame({"user_id": ["a"]})) == []


@pytest.mark.parametrize("events", [8, 1_000])
def test_free_texts_are_no_occasions(events: int) -> None:
    texts = [f"text {number}" for number in range(events * 6 // 10)]
    assert occasions(said([*texts, *(["gift"] * (events - len(texts)))])) == []
    assert occasions(said([*texts, *([None] * 9 * events)])) == [], "most events say nothing"


def test_a_table_of_few_events_tells_the_occasions_of_the_training_apart() -> None:
    """Two events of two occasions looked like free texts to it, and to no other table."""
    made = shop.builder()
    assert made.spec.contexts == made.table.events.contexts == ["wedding", "work"]
    known = (shop.attributes(), made.vocabulary, shop.items(), shop.reviews(), shop.profiles())
    first = [
        ItemTable.build(*known, made.spec, shop.SETTINGS, until_ms=days * shop.DAY)
        for days in (2, 3)
    ]
    assert [table.events.contexts for table in first] == [["wedding"], ["wedding", "work"]]
    assert FeatureSpec.model_validate(made.spec.model_dump()).contexts == made.spec.contexts


def test_a_tower_is_told_the_occasions_of_train_and_free_texts_where_they_are_its_context() -> None:
    rows = [
        ("train", " Work", "a"), ("train", "work", "b"), ("train", "date", "c"),
        ("train", "date", ""), ("train", None, "d"), ("valid", "WORK", "e"),
        ("valid", "for my sister", "f"), ("valid", "", "g"), ("valid", None, "h"),
    ]  # fmt: skip
    reviews = pl.DataFrame(rows, schema=["split", "context", "text"], orient="row")
    told = with_told_contexts(reviews, Settings())["context"].to_list()
    assert told == [" Work", "work", "date", "date", None, "WORK", None, None, None]
    asked_for = reviews.with_columns(context=pl.col("text"))
    assert with_told_contexts(asked_for, Settings())["context"].null_count() == len(rows)
    reads = Settings(recommendation={"context_from": "review_text"})
    found = with_told_contexts(reviews, reads)["context"].to_list()
    assert found == ["a", "b", "c", None, "d", "e", "f", "g", "h"]
