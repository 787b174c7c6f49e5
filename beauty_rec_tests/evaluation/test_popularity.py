"""Popularity in all, of late and within an occasion, against slow counts."""

import numpy as np
import polars as pl
import pytest

from beauty_rec.evaluation.popularity import (
    FORMS,
    Recency,
    best_recency,
    context_popularity_ranks,
    popularity_scores,
)
from beauty_rec.events.arrays import DAY_MS
from beauty_rec.search.ranks import ranks_of_answers, ranks_of_static_scores
from beauty_rec_tests.evaluation.conftest import IDS


def test_popularity_counts_train_events(train):
    counts = train["parent_asin"].to_list()
    assert popularity_scores(train, IDS).tolist() == [counts.count(i) for i in IDS]


def test_static_ranks_equal_ranks_of_the_repeated_scores(train, seen):
    answers, left_out = seen
    scores = popularity_scores(train, IDS)
    repeated = np.tile(scores, (len(answers), 1))
    np.testing.assert_allclose(
        ranks_of_static_scores(scores, answers), ranks_of_answers(repeated, answers)
    )
    np.testing.assert_allclose(
        ranks_of_static_scores(scores, answers, left_out),
        ranks_of_answers(repeated, answers, seen=left_out),
    )
    with pytest.raises(ValueError, match="between 0 and"):
        ranks_of_static_scores(scores, np.array([-1]))


def test_the_last_share_of_train_holds_whole_instants(train):
    kept = Recency(share=0.1).weights(train["timestamp"]) > 0
    assert kept.sum() >= 16
    cut = train.filter(pl.Series(kept))["timestamp"].min()
    assert kept.sum() == (train["timestamp"] >= cut).sum()
    assert (train["timestamp"] > cut).sum() < 16
    assert len(Recency(share=0.1).weights(train.head(0)["timestamp"])) == 0


def test_an_event_counts_half_after_each_half_life():
    times = pl.Series([0, 10 * DAY_MS, 20 * DAY_MS, 30 * DAY_MS])
    weights = Recency(half_life_days=10).weights(times)
    assert weights.tolist() == [0.125, 0.25, 0.5, 1.0]
    events = pl.DataFrame({"parent_asin": ["i0", "i1", "i1", "i0"], "timestamp": times})
    found = popularity_scores(events, ["i0", "i1"], Recency(half_life_days=10))
    assert found.tolist() == [1.125, 0.75]


def test_the_recency_that_ranks_valid_best_is_chosen():
    good = Recency(half_life_days=30)
    assert best_recency(lambda form: np.array([1.0, 2.0] if form == good else [3.0, 4.0])) == good
    assert best_recency(lambda form: np.array([1.0])) == FORMS[0]


def test_a_faded_event_within_the_occasion_comes_before_one_without(train):
    answers = np.arange(10)
    faded = Recency(half_life_days=20 / DAY_MS)  # the fixture's times are few
    contexts = pl.Series(["party"] * 10)
    found = context_popularity_ranks(train, IDS, contexts, answers, recency=faded)
    weights = train.with_columns(weight=pl.Series(faded.weights(train["timestamp"])))
    party = weights.filter(pl.col("context") == "party")
    within = [party.filter(parent_asin=i)["weight"].sum() for i in IDS]
    clear = [
        i for i in answers if all(abs(within[i] - w) > 0.05 for j, w in enumerate(within) if j != i)
    ]
    assert len(clear) > 3
    for item in clear:
        assert found[item] == 1 + sum(w > within[item] for w in within)


@pytest.mark.parametrize("few", [0, 1_000], ids=["sorted once", "one by one"])
def test_context_popularity_equals_a_slow_sort(train, seen, few, monkeypatch):
    monkeypatch.setattr("beauty_rec.evaluation.popularity.FEW", few)
    answers, left_out = seen
    kept = Recency(share=0.3).weights(train["timestamp"]) > 0
    recent = train.filter(pl.Series(kept)).rows(named=True)
    everything = train.rows(named=True)
    contexts = [("party", "work", None, "unheard of")[n % 4] for n in range(len(answers))]
    found = context_popularity_ranks(
        train, IDS, pl.Series(contexts), answers, recency=Recency(share=0.3), seen=left_out
    )
    for query, (context, answer) in enumerate(zip(contexts, answers, strict=True)):
        keys = [
            (
                sum(r["parent_asin"] == i and r["context"] == context for r in recent)
                if context
                else 0,
                sum(r["parent_asin"] == i for r in recent),
                sum(r["parent_asin"] == i for r in everything),
            )
            for i in IDS
        ]
        left = [key for i, key in enumerate(keys) if not left_out[[query]].toarray()[0, i]]
        higher = sum(key > keys[answer] for key in left)
        level = sum(key == keys[answer] for key in left)
        assert found[query] == higher + (level + 1) / 2
