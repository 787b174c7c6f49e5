"""The checks of measured stages and of what is served, on what materializations recorded."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from beauty_rec.evaluation.answer import CHOOSE_ANEW
from beauty_rec.evaluation.block import split_section
from beauty_rec.events.asked import OtherEventsError, refuse_other_events
from beauty_rec.orchestration.catalogue.metrics import (
    answer_metadata,
    headline_metadata,
    served_orders,
)
from beauty_rec.orchestration.checks.make import metric_checks, served_checks
from beauty_rec.orchestration.code_location import build_definitions
from beauty_rec.orchestration.refresh.refresh import plan
from beauty_rec.orchestration.stage.partitions import splits
from beauty_rec.settings import Settings

GOOD = np.random.default_rng(5).integers(1, 12, 300).astype(np.float64)
WORSE = GOOD + 3


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@dg.asset(partitions_def=splits)
def measured() -> None: ...


def answer_of(**ranks: np.ndarray) -> dict[str, Any]:
    """A section of a scenario: what is served beside all else."""
    others = [name for name in ranks if name != "served"]
    return split_section(ranks, versus={"served": others}, samples=200)


def record(instance: dg.DagsterInstance, split: str, facts: Mapping[str, Any]) -> None:
    instance.report_runless_asset_event(
        dg.AssetMaterialization("measured", partition=split, metadata=facts)
    )


def evaluated(
    instance: dg.DagsterInstance, checks: list[dg.AssetChecksDefinition]
) -> dict[str, dg.AssetCheckResult]:
    context: Any = SimpleNamespace(instance=instance)
    found = {}
    for check in checks:
        (spec,) = check.check_specs
        judge: Any = check.op.compute_fn
        found[spec.name] = judge.decorated_fn(context, Settings())
        assert not spec.blocking
    return found


def test_what_is_served_is_held_against_its_parts_and_baselines_apart(
    instance: dg.DagsterInstance,
) -> None:
    sections = {
        "valid": {"with_text": answer_of(served=GOOD, user_tower=WORSE, popularity=WORSE)},
        "test": {
            "with_text": answer_of(served=WORSE, user_tower=WORSE, item_cf=GOOD),
            "without_text": answer_of(served=GOOD, fused=GOOD + 0.001, popularity=WORSE),
        },
    }
    for split, answer in sections.items():
        record(instance, split, answer_metadata(answer, split))
    found = evaluated(instance, served_checks(measured))
    parts, plain = found["served_beats_its_parts"], found["served_beats_baselines"]
    assert parts.passed
    assert "valid with text: served" in str(parts.description)
    assert not plain.passed
    assert plain.severity == dg.AssetCheckSeverity.WARN
    served, other = (sections["test"]["with_text"][n]["ndcg@10"] for n in ("served", "item_cf"))
    said = f"NDCG@10, test with text: served {served:.4f}, item_cf {other:.4f} (p = 0.0"
    assert str(plain.description).startswith(said)
    assert "beauty-rec run --select user_candidates+++ --force" in str(plain.description)
    figures: dict[str, Any] = {name: value.value for name, value in (plain.metadata or {}).items()}
    assert figures["test with text: served"] == pytest.approx(served)
    assert figures["test with text: item_cf"] == pytest.approx(other)
    assert figures["test with text: p, item_cf"] < 0.05


def test_a_remedy_builds_all_that_follows_from_candidates(tmp_path: Path) -> None:
    definitions = build_definitions(Settings(data_dir=tmp_path))
    with pytest.raises(OtherEventsError) as refused:
        refuse_other_events("user_candidates", "valid", ["a"], ["b"])
    for said in (CHOOSE_ANEW, str(refused.value)):
        (select,) = re.findall(r"--select (\S+)", said)
        assert plan(definitions, select) == plan(definitions, 'key:"user_candidates"+'), said


def test_what_loses_to_one_of_its_parts_is_warned_of(instance: dg.DagsterInstance) -> None:
    lost = {"with_text": answer_of(served=WORSE, user_tower=GOOD, popularity=WORSE)}
    record(instance, "test", answer_metadata(lost, "test"))
    found = evaluated(instance, served_checks(measured))
    assert not found["served_beats_its_parts"].passed
    assert found["served_beats_its_parts"].severity == dg.AssetCheckSeverity.WARN
    assert found["served_beats_baselines"].passed


def test_nothing_measured_passes(instance: dg.DagsterInstance) -> None:
    for found in evaluated(instance, served_checks(measured)).values():
        assert found.passed
        assert "not measured" in str(found.description)


def test_a_reranker_that_is_not_served_warns_and_says_what_is(
    instance: dg.DagsterInstance,
) -> None:
    figures = {
        "reranked ndcg@10": 0.01,
        "user_tower ndcg@10": 0.02,
        "user_tower recall@100": 0.1,
        "popularity recall@100": 0.2,
    }
    checks = metric_checks(measured, {"user_tower": "popularity", "reranked": "user_tower"})
    lists = pl.DataFrame(
        {
            "scenario": ["with_text", "with_text", "without_text"],
            "order": ["hybrid", "fused", "hybrid"],
        }
    )
    for served, said in ((lists, True), (lists.with_columns(order=pl.lit("reranked")), False)):
        record(instance, "valid", {**figures, **served_orders(served)})
        found = evaluated(instance, checks)
        behind = found["reranked_reaches_user_tower"]
        assert (behind.passed, behind.severity) == (False, dg.AssetCheckSeverity.WARN)
        for name in ("reranked_reaches_user_tower", "reranked_did_not_drop"):
            told = str(found[name].description).endswith("; it is not served: fused, hybrid is")
            assert told == said
        tower = found["user_tower_reaches_popularity"]
        assert (tower.passed, tower.severity) == (False, dg.AssetCheckSeverity.ERROR)
        assert "not served" not in str(tower.description)


def test_the_headlines_name_what_is_served_in_each_scenario() -> None:
    section = answer_of(served=GOOD, user_tower=WORSE)
    report = {
        "retrieval": {},
        "recommendation": {"test": {"reranked": {"mrr": 0.1}}},
        "answer": {"valid": {"with_text": {}}, "test": {"with_text": section}},
        "cost": [],
    }
    found = headline_metadata(report)
    for metric in ("recall@100", "mrr", "ndcg@10"):
        assert found[f"test served with_text {metric}"] == section["served"][metric]
    assert not any("valid" in name for name in found)
    assert found["test reranked mrr"] == 0.1
