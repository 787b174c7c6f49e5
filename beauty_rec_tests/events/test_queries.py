from typing import cast

import numpy as np
import polars as pl
import pytest

from beauty_rec.events.asked import split_events
from beauty_rec.events.places import answer_set, item_lists, rows_of
from beauty_rec.events.queries import (
    crowded,
    recommendation_queries,
    sample_events,
    text_queries,
)
from beauty_rec.settings import Settings


def reviews_of(rows):
    """Rows of (user, item, timestamp, split) as a split_reviews frame."""
    return pl.DataFrame(
        {
            "review_id": [f"{i:016x}" for i in range(len(rows))],
            "user_id": [row[0] for row in rows],
            "parent_asin": [row[1] for row in rows],
            "timestamp": [row[2] for row in rows],
            "split": [row[3] for row in rows],
            "rating": [float(1 + i % 5) for i in range(len(rows))],
            "context": [None if i % 3 else "wedding" for i in range(len(rows))],
            "text": [f"review number {i} " * (i % 3) for i in range(len(rows))],
        },
        schema_overrides={"rating": pl.Float32, "context": pl.String},
    )


@pytest.fixture
def many():
    random = np.random.default_rng(6)
    rows = []
    for _ in range(600):
        at = int(random.integers(0, 100))
        split = "train" if at < 70 else "valid" if at < 85 else "test"
        user = f"u{int(random.integers(0, 25) ** 0.9)}"
        rows.append((user, f"i{random.integers(0, 40)}", at, split))
    return reviews_of(list(dict.fromkeys(rows)))


def test_text_queries_are_long_enough_and_of_the_split(many):
    found = text_queries(many, "valid", min_chars=20)
    expected = many.filter(
        (pl.col("split") == "valid") & (pl.col("text").str.strip_chars().str.len_chars() >= 20)
    )
    assert found["review_id"].to_list() == sorted(expected["review_id"].to_list())
    assert found.columns == ["review_id", "parent_asin", "query"]
    assert cast(int, found["query"].str.len_chars().min()) >= 20
    by_keywords = text_queries(
        many.with_columns(keywords=pl.lit(" dry skin, winter, gift ")), "valid", column="keywords"
    )
    assert set(by_keywords["query"]) == {"dry skin, winter, gift"}


def test_the_cap_does_not_depend_on_the_order_of_rows(many):
    first = sample_events(many, 50, seed=1)
    assert len(first) == 50
    assert sample_events(many.sample(fraction=1, shuffle=True, seed=3), 50, seed=1).equals(first)
    assert not sample_events(many, 50, seed=2).equals(first)
    # One row less replaces at most one query.
    fewer = sample_events(many.filter(pl.col("review_id") != first["review_id"][0]), 50, seed=1)
    assert len(set(fewer["review_id"]) & set(first["review_id"])) == 49


def test_the_answer_set_holds_items_that_only_held_out_reviews_name():
    ids = answer_set(["b", "a"], pl.Series(["a", "z", "c", "z"]), pl.Series(["m"]))
    assert ids == ["b", "a", "c", "m", "z"]
    assert rows_of(pl.Series(["z", "q", "b"]), ids).tolist() == [4, -1, 0]
    assert rows_of(pl.Series([], dtype=pl.String), ids).tolist() == []


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_histories_equal_a_slow_loop(many, split):
    rows = many.sort("timestamp", "review_id").to_dicts()
    expected = {}
    for row in rows:
        before = [
            r for r in rows if r["user_id"] == row["user_id"] and r["timestamp"] < row["timestamp"]
        ]
        if row["split"] == split and row["parent_asin"] not in {r["parent_asin"] for r in before}:
            expected[row["review_id"]] = before
    found = recommendation_queries(many, split, max_history=5)
    assert found["review_id"].to_list() == sorted(expected)
    for row in found.iter_rows(named=True):
        before = expected[row["review_id"]]
        assert row["history"] == [r["parent_asin"] for r in before[-5:]]
        assert row["history_ratings"] == [r["rating"] for r in before[-5:]]
        assert row["history_timestamps"] == [r["timestamp"] for r in before[-5:]]
        assert sorted(row["seen"]) == sorted({r["parent_asin"] for r in before})
        assert row["cold"] == (not before)


def test_events_from_a_moment_on_are_drawn_among_themselves(many):
    since = many["timestamp"].sort()[len(many) // 2]
    late = recommendation_queries(many, "train").filter(pl.col("timestamp") >= since)
    asked = recommendation_queries(many, "train", since_ms=since)
    assert asked.equals(late)
    some = recommendation_queries(many, "train", since_ms=since, max_queries=20)
    assert some.equals(sample_events(late, 20))


def test_a_user_of_many_events_is_asked_the_latest_and_remembers_as_many():
    """Of 30,000 events of one user all histories would hold 450 million."""
    rows = [("u", f"i{n}", n, "train") for n in range(30_000)] + [("v", "i3", 5, "train")]
    for many, settings in ((1_000, Settings()), (100, Settings(ranking={"max_user_events": 100}))):
        found = split_events(reviews_of(rows), "train", settings).sort("timestamp")
        assert found["timestamp"].to_list() == [5, *range(30_000 - many, 30_000)]
        assert set(found["seen"].list.len()[1:]) == {many}
        assert set(found["seen"][-1]) == {f"i{n}" for n in range(29_999 - many, 29_999)}
        drawn = recommendation_queries(reviews_of(rows), "train", since_ms=29_100, max_queries=20)
        assert len(drawn) == 20


def test_nothing_is_left_out_of_users_with_as_many_events_as_are_allowed(many):
    most = many["user_id"].value_counts()["count"].max()
    for split in ("train", "valid", "test"):
        whole = recommendation_queries(many, split)
        assert recommendation_queries(many, split, max_user_events=most).equals(whole)
    assert crowded(many.lazy(), most) is None
    assert len(recommendation_queries(many, "train", max_user_events=3)) < len(
        recommendation_queries(many, "train")
    )


def test_a_user_of_too_many_events_is_named_without_the_id():
    rows = [("guest-checkout", f"i{n}", n, "train") for n in range(12)] + [("v", "i", 1, "test")]
    warning = crowded(reviews_of(rows).lazy(), 10)
    assert warning is not None
    assert "gu… has 12" in warning
    assert "guest-" not in warning


def test_a_history_is_as_long_as_the_service_reads_it():
    rows = [("u", f"i{n}", n, "train") for n in range(60)] + [("u", "next", 60, "valid")]
    for length in (3, 55):
        settings = Settings(ranking={"history_length": length})
        [history] = split_events(reviews_of(rows), "valid", settings)["history"].to_list()
        assert history == [f"i{n}" for n in range(60 - length, 60)]
    [usual] = split_events(reviews_of(rows), "valid", Settings())["history"].to_list()
    assert len(usual) == 50


def test_events_of_one_instant_do_not_know_each_other():
    found = recommendation_queries(
        reviews_of([("u", "a", 5, "valid"), ("u", "b", 5, "valid"), ("u", "a", 9, "valid")]),
        "valid",
    )
    assert found["history"].to_list() == [[], []]
    assert found["cold"].all()


def test_a_split_without_events_gives_an_empty_frame():
    found = recommendation_queries(reviews_of([("u", "a", 5, "train")]), "test")
    assert len(found) == 0
    assert "history" in found.columns


def test_item_lists_mark_known_items_once():
    lists = pl.Series([["a", "x", "a"], [], ["b"]])
    np.testing.assert_array_equal(item_lists(lists, ["a", "b"]).toarray(), [[1, 0], [0, 0], [0, 1]])
