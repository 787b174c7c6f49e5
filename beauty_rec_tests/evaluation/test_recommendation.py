"""The recommendation section of the report on a handful of events."""

import numpy as np
import polars as pl
import pytest

from beauty_rec.artifacts import Vectors
from beauty_rec.evaluation.recommendation import (
    baseline_ranks,
    beyond_accuracy,
    recommendation_section,
)
from beauty_rec.events.asked import split_events
from beauty_rec.settings import EvaluationSettings, Settings

SETTINGS = EvaluationSettings(bootstrap_samples=100)


@pytest.fixture
def reviews() -> pl.DataFrame:
    """Ten train events of item a, five of b, one of c; held-out events of b, c and a new item."""
    items = ["a"] * 10 + ["b"] * 5 + ["c"] + ["b", "c", "new"]
    users = [f"u{n}" for n in range(16)] + ["u0", "u15", "stranger"]
    return pl.DataFrame(
        {
            "review_id": [f"r{n:02}" for n in range(19)],
            "user_id": users,
            "parent_asin": items,
            "timestamp": list(range(19)),
            "rating": [5.0] * 19,
            "context": [None] * 19,
            "split": ["train"] * 16 + ["valid"] * 3,
        },
        schema_overrides={"context": pl.String},
    )


def test_seen_items_leave_the_answer_set_and_repeats_are_no_query(reviews: pl.DataFrame) -> None:
    events = split_events(reviews, "valid", Settings())
    # u15 had c before: its second c is no query.
    assert events["parent_asin"].to_list() == ["b", "new"]
    ranks = baseline_ranks(events, reviews, ["a", "b", "c"])
    # u0 has seen a, so b comes first; the new item ties with nothing and stands last.
    assert ranks["popularity"].tolist() == [1, 4]


def test_the_section_tells_warm_from_cold_and_looks_beyond_accuracy(reviews: pl.DataFrame) -> None:
    events = split_events(reviews, "valid", Settings())
    lists = pl.Series([["c", "b"], ["a"]])
    ranks = {
        **baseline_ranks(events, reviews, ["a", "b", "c"]),
        "user_tower": np.array([2, np.inf]),
    }
    vectors = Vectors(["a", "b", "c"], np.eye(3, dtype=np.float32))
    section = recommendation_section(
        events, ranks, {"user_tower": lists}, reviews, vectors, SETTINGS
    )
    tower = section["user_tower"]
    assert tower["queries"] == 2
    assert tower["recall@100"] == 0.5
    assert tower["warm"]["recall@100"] == 1.0
    assert tower["cold"]["recall@100"] == 0.0
    assert tower["beyond_accuracy"]["coverage@10"] == 1.0
    assert tower["beyond_accuracy"]["intra_list_diversity@10"] == 1.0
    empty = beyond_accuracy(pl.Series([[], None], dtype=pl.List(pl.String)), reviews, vectors)
    assert empty["coverage@10"] == 0.0
    assert set(tower["versus"]) == {
        "popularity",
        "recent_popularity",
        "context_popularity",
        "item_cf",
    }


def test_events_of_one_user_are_one_proof(reviews: pl.DataFrame) -> None:
    """Fifty finds for one user say less than fifty for as many."""
    many = reviews.filter(split="train").head(1)
    held_out = pl.concat([many] * 50).with_columns(
        review_id=pl.format("v{}", pl.int_range(50)),
        parent_asin=pl.format("n{}", pl.int_range(50)),
        timestamp=pl.int_range(100, 150),
        split=pl.lit("valid"),
    )
    missed = np.where(np.arange(50) < 10, np.inf, 5.0)
    ranks = {"popularity": missed, "user_tower": np.ones(50)}
    vectors = Vectors(["a"], np.ones((1, 1), dtype=np.float32))
    tests = []
    intervals = []
    for user in (pl.col("user_id"), pl.format("u{}", pl.int_range(50))):
        known = pl.concat([reviews, held_out.with_columns(user_id=user)])
        events = split_events(known, "valid", Settings()).filter(
            pl.col("review_id").str.starts_with("v")
        )
        section = recommendation_section(events, ranks, {}, known, vectors, SETTINGS)
        tests.append(section["user_tower"]["versus"]["popularity"])
        intervals.append(section["popularity"]["intervals"]["recall@100"])
    assert intervals[0] is tests[0]["recall@100"]["interval"] is None
    assert intervals[1][0] < 0.8 < intervals[1][1]
    assert tests[0]["recall@100"]["p"] == tests[0]["ndcg@10"]["p"] == 1.0
    assert tests[1]["recall@100"]["p"] < 0.05
    assert tests[1]["ndcg@10"]["p"] < 0.05
