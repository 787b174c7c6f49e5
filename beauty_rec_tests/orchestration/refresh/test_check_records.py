"""What a blocking check has refused, or never judged, is built again, and nothing else is."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from beauty_rec.orchestration.refresh.kept import Stale
from beauty_rec.orchestration.refresh.refresh import observe_sources, plan, refresh
from beauty_rec.orchestration.refresh.staleness import Look
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec_tests.orchestration.world import World, definitions_of

ROWS = dg.AssetKey("split_rows")
ENOUGH = dg.AssetCheckKey(ROWS, "enough_rows")


@pytest.fixture
def world() -> World:
    return World()


def run(
    world: World,
    folder: Path,
    select: str | None = None,
    partition: str | None = None,
    **options: Any,
) -> dict[str, str]:
    """Refresh and return the status of each step by name."""
    definitions = definitions_of(world)
    with open_instance(folder) as instance:
        observe_sources(definitions, instance)
        results = refresh(definitions, instance, plan(definitions, select, partition), **options)
        return {str(result.step): result.status for result in results}


def built(world: World, folder: Path) -> list[str]:
    """Refresh and return what was built."""
    world.built.clear()
    assert "failed" not in run(world, folder).values()
    return world.built


def check_alone(world: World, folder: Path, key: dg.AssetCheckKey) -> None:
    """Execute a check without its asset, as the UI does."""
    job = definitions_of(world).resolve_implicit_global_asset_job_def()
    alone = job.get_subset(asset_selection=set(), asset_check_selection={key})
    with open_instance(folder) as instance:
        alone.execute_in_process(instance=instance, raise_on_error=False)


def stale(world: World, instance: dg.DagsterInstance) -> Stale | None:
    return Look(instance, definitions_of(world).resolve_asset_graph()).stale(ROWS)


def breaks() -> None:
    raise ValueError("the check itself breaks")


def test_a_failed_check_outlives_a_run_that_breaks_before_it(world: World, tmp_path: Path) -> None:
    world.check_passes = False
    run(world, tmp_path)
    world.broken = {"split_rows"}
    run(world, tmp_path)
    world.broken, world.check_passes = set(), True
    assert "split_rows" in built(world, tmp_path)
    assert built(world, tmp_path) == []


@pytest.mark.parametrize("judged_before", [True, False])
def test_what_no_check_has_judged_is_built_again(
    world: World, tmp_path: Path, judged_before: bool
) -> None:
    if judged_before:
        assert built(world, tmp_path)
        world.rows["test"] = "x"
    world.during_check = breaks  # the records are those of a kill between asset and check
    run(world, tmp_path, "split_rows")
    with open_instance(tmp_path) as instance:
        found = stale(world, instance)
    assert found is not None
    assert "has not judged" in found.reason
    world.during_check = lambda: None
    assert "split_rows" in built(world, tmp_path)
    assert built(world, tmp_path) == []


@pytest.mark.slow
def test_a_check_that_is_executed_alone_judges(world: World, tmp_path: Path) -> None:
    assert built(world, tmp_path)
    world.check_passes = False
    check_alone(world, tmp_path, ENOUGH)
    world.check_passes = True
    assert built(world, tmp_path) == ["split_rows"]
    world.during_check = breaks
    run(world, tmp_path, "split_rows", force=True)
    world.during_check = lambda: None
    check_alone(world, tmp_path, ENOUGH)
    assert built(world, tmp_path) == []


def test_what_is_being_judged_is_left_alone(world: World, tmp_path: Path) -> None:
    found: list[Stale | None] = []
    with open_instance(tmp_path) as instance:
        definitions = definitions_of(world)
        world.during_check = lambda: found.append(stale(world, instance))
        observe_sources(definitions, instance)
        assert "failed" not in [
            r.status for r in refresh(definitions, instance, plan(definitions, "split_rows"))
        ]
    assert found == [None]


@pytest.mark.slow
def test_a_new_check_rebuilds_nothing_that_stood_before_it(world: World, tmp_path: Path) -> None:
    assert built(world, tmp_path)
    passes = True

    @dg.asset_check(asset="model", blocking=True)
    def learned() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=passes)

    world.checks = [learned]
    assert built(world, tmp_path) == []
    world.code_version = "2"
    assert built(world, tmp_path) == ["model"]
    passes = False
    check_alone(world, tmp_path, dg.AssetCheckKey(dg.AssetKey("model"), "learned"))
    passes = True
    assert built(world, tmp_path) == ["model"]


def test_a_refused_model_is_not_kept_between_trainings(world: World, tmp_path: Path) -> None:
    passes = False

    @dg.asset_check(asset="model", blocking=True)
    def learned() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=passes)

    world.checks = [learned]
    kept: dict = {"train": "never", "trainings": frozenset({"model"})}
    assert run(world, tmp_path, **kept)["model"] == "failed"
    world.rows["train"], passes = "x", True
    assert run(world, tmp_path, **kept)["model"] == "built"


@pytest.mark.slow
def test_a_check_judges_all_splits_of_its_asset_at_once(world: World, tmp_path: Path) -> None:
    passes = True

    @dg.asset_check(asset="words", blocking=True)
    def enough_words() -> dg.AssetCheckResult:
        world.during_check()
        return dg.AssetCheckResult(passed=passes)

    world.checks = [enough_words]
    assert built(world, tmp_path)
    assert built(world, tmp_path) == []
    world.during_check = breaks
    run(world, tmp_path, "words", partition="valid", force=True)
    world.during_check = lambda: None
    assert built(world, tmp_path) == ["words[valid]"]
    passes = False
    run(world, tmp_path, "words", partition="valid", force=True)
    passes = True
    assert built(world, tmp_path) == ["words[train]"]  # and clears the others
