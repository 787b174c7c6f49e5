"""What the checks decide, at and around their thresholds."""

import numpy as np
import polars as pl
import pytest

from beauty_rec.artifacts import Vectors
from beauty_rec.orchestration.checks import verdicts
from beauty_rec.settings import CheckSettings, CorpusSettings

Facts = dict[str | None, dict[str, float]]


def reviews(**rows: list[int]) -> pl.DataFrame:
    parts = [pl.DataFrame({"timestamp": t, "split": [s] * len(t)}) for s, t in rows.items()]
    return pl.concat(parts)


def units(matrix: list[list[float]]) -> Vectors:
    return Vectors([str(row) for row in range(len(matrix))], np.array(matrix, dtype=np.float32))


def test_repeated_rows_are_counted() -> None:
    frame = pl.DataFrame({"user": ["a", "a", "b"], "item": ["x", "x", "x"]})
    found = verdicts.unique(frame, ["user", "item"])
    assert not found.passed
    assert found.figures["repeated"] == 1
    assert verdicts.unique(frame[1:], ["user", "item"]).passed
    assert verdicts.unique(frame.clear(), ["user"]).passed


def test_blank_texts_are_named() -> None:
    frame = pl.DataFrame({"id": ["a", "b", "c"], "text": ["words", "  ", None]})
    found = verdicts.no_empty(frame, "text")
    assert not found.passed
    assert found.figures["examples"] == "b, c"


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ({"train": [1, 2], "valid": [3], "test": [4]}, ""),
        ({"train": [1, 3], "valid": [3], "test": [4]}, "valid begins before train has ended"),
        ({"train": [1], "valid": [2, 9], "test": [4]}, "test begins before valid has ended"),
    ],
)
def test_splits_follow_one_another_in_time(rows: dict, problem: str) -> None:
    found = verdicts.splits_in_time(reviews(**rows))
    assert found.passed == (not problem)
    assert problem in found.text


def test_an_empty_split_is_an_error() -> None:
    assert "test is empty" in verdicts.splits_in_time(reviews(train=[1], valid=[2])).text


def test_split_sizes_are_judged_unless_cuts_were_given() -> None:
    frame = reviews(train=list(range(50)), valid=[60] * 25, test=[70] * 25)
    assert not verdicts.split_sizes(frame, CorpusSettings(), 0.02).passed
    by_hand = CorpusSettings(train_end_ms=55, valid_end_ms=65)
    assert verdicts.split_sizes(frame, by_hand, 0.02).passed


def test_vectors_must_be_finite_and_of_length_one() -> None:
    assert verdicts.unit_vectors(units([[1, 0], [0.6, 0.8]]), 1e-3).passed
    assert verdicts.unit_vectors(units([[1, 0], [0, 0.99]]), 1e-3).figures["wrong_length"] == 1
    broken = verdicts.unit_vectors(units([[1, 0], [float("nan"), 1]]), 1e-3)
    assert not broken.passed
    assert broken.figures["not_finite"] == 1


def test_a_collapse_is_seen() -> None:
    draws = np.random.default_rng(0).normal(size=(500, 32))
    spread = draws / np.linalg.norm(draws, axis=1, keepdims=True)
    point = spread * 0.01 + spread[0]
    point /= np.linalg.norm(point, axis=1, keepdims=True)
    assert verdicts.not_collapsed(units(spread.tolist()), 0.9).passed
    assert not verdicts.not_collapsed(units(point.tolist()), 0.9).passed


def test_what_was_learned_may_lie_close_only_where_the_items_are_alike() -> None:
    close = {"mean_cosine": 0.99}
    assert verdicts.learned_apart({"mean_cosine": 0.3}, 0.9).text.startswith("different items")
    assert not verdicts.learned_apart(close, 0.9).passed
    assert not verdicts.learned_apart(close | {"items_alike": False}, 0.9).passed
    assert not verdicts.learned_apart({"mean_cosine": float("nan")}, 0.9).passed
    warned = verdicts.learned_apart(close | {"items_alike": True}, 0.9)
    assert warned.passed
    assert "0.990" in warned.text
    assert verdicts.learned_apart(close | {"mean_cosine_before_tuning": 0.85}, 0.9).passed
    assert not verdicts.learned_apart(close | {"mean_cosine_before_tuning": 0.75}, 0.9).passed
    assert verdicts.learned_apart({}, 0.9).passed, "one item"


def test_a_metric_that_drops_on_one_split_warns() -> None:
    before: Facts = {
        "valid": {"x recall@100": 0.5},
        "test": {"x recall@100": 0.5},
    }
    now: Facts = {
        "valid": {"x recall@100": 0.46},
        "test": {"x recall@100": 0.44},
    }
    found = verdicts.no_drop(now, before, "x recall@100", 0.1)
    assert not found.passed
    assert found.figures == pytest.approx({"drop valid": 0.08, "drop test": 0.12})
    assert verdicts.no_drop(now, {}, "x recall@100", 0.1).passed  # the first run


def test_train_figures_are_no_argument() -> None:
    facts: Facts = {"train": {"s recall@100": 0.1, "b recall@100": 0.9}}
    assert verdicts.above_baseline(facts, "s", "b", "recall@100", 0.0).passed


def test_a_stage_below_its_baseline_is_an_error() -> None:
    facts: Facts = {"test": {"s recall@100": 0.30, "b recall@100": 0.32}}
    assert not verdicts.above_baseline(facts, "s", "b", "recall@100", 0.05).passed
    assert verdicts.above_baseline(facts, "s", "b", "recall@100", 0.10).passed


def test_an_index_must_hold_and_find_every_item() -> None:
    facts = {"dagster/row_count": 10, "recall_vs_exact@100": 0.97}
    assert verdicts.index_answers(facts, 10, 0.95).passed
    assert not verdicts.index_answers(facts, 11, 0.95).passed
    assert not verdicts.index_answers(facts, 10, 0.98).passed
    assert not verdicts.index_answers({}, 10, 0.95).passed


def test_skew_names_the_feature_that_moved() -> None:
    facts: Facts = {
        "test": {
            "request_batch_difference": 0.0,
            "largest_feature_shift": 1.4,
            "shift log_price": -1.4,
            "shift log_count": 0.2,
        }
    }
    found = verdicts.no_skew(facts, CheckSettings(max_feature_skew=1.0))
    assert not found.passed
    assert "log_price" in found.text
    alone: Facts = {"test": {**facts["test"], "request_batch_difference": 0.1}}
    assert not verdicts.no_skew(alone, CheckSettings(max_feature_skew=2.0)).passed
    assert verdicts.no_skew(facts, CheckSettings(max_feature_skew=2.0)).passed


@pytest.mark.parametrize(
    ("changed", "passed"),
    [
        ({}, True),
        ({"table_correlation": 0.96}, False),
        ({"table_correlation": float("nan")}, False),
        ({"table_correlation": 1.0, "distinct_items": 1}, True),
        ({"table_correlation": 1.0, "distinct_items": 2}, False),
        ({"purity": 0.3}, False),
        ({"purity": 0.2, "items_with_category": 10}, True),
        ({"purity": float("nan")}, True),
        ({"purity": 1.0, "purity of random start": 1.0, "purity_by_chance": 1.0}, True),
        ({"purity": 0.97, "purity of random start": 0.98, "purity_by_chance": 0.96}, True),
        ({"purity": 0.97, "purity of random start": 0.98, "purity_by_chance": 0.9}, False),
    ],
)
def test_an_item_tower_has_to_have_learned(changed: dict[str, float], passed: bool) -> None:
    facts = {
        "table_correlation": 0.94, "purity": 0.31, "purity of random start": 0.3,
        "items_with_category": 1_000,
    }  # fmt: skip
    found = verdicts.item_tower_learned(facts | changed, CheckSettings())
    assert found.passed is passed, found.text
    assert ("min_steps" in found.text) is not passed


def test_an_item_tower_that_was_never_trained_is_not_judged() -> None:
    assert verdicts.item_tower_learned({}, CheckSettings()).passed
