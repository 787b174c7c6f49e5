"""What the daemon asks for, tick by tick, and that it is what `beauty-rec run` would build."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from beauty_rec.orchestration.daemon.conditions import build_when_stale
from beauty_rec.orchestration.refresh.kept import Kept
from beauty_rec.orchestration.refresh.lock import refresh_turn
from beauty_rec.orchestration.refresh.refresh import observe_sources, plan, refresh
from beauty_rec_tests.orchestration.world import World, definitions_of


class Daemon:
    """Evaluates the conditions and runs what they ask for, until they ask for nothing."""

    def __init__(self, world: World, folder: Path, instance: dg.DagsterInstance) -> None:
        self.world, self.folder, self.instance = world, folder, instance
        self.cursor: Any = None

    def tick(self) -> list[tuple[str, str | None]]:
        """Return what is asked for, without running it."""
        definitions = definitions_of(self.world)
        result = dg.evaluate_automation_conditions(definitions, self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        asked: list[tuple[str, str | None]] = []
        for found in result.results:
            if found.true_subset.is_partitioned:
                splits = sorted(found.true_subset.expensively_compute_partition_keys())
                asked += [(found.key.to_user_string(), split) for split in splits]
            elif not found.true_subset.is_empty:
                asked.append((found.key.to_user_string(), None))
        return asked

    def run(self, asked: list[tuple[str, str | None]]) -> None:
        job = definitions_of(self.world).resolve_implicit_global_asset_job_def()
        for name, split in asked:
            job.execute_in_process(
                instance=self.instance,
                asset_selection=[dg.AssetKey(name)],
                partition_key=split,
                raise_on_error=False,
            )

    def settle(self) -> list[str]:
        """Observe the file, then tick and run until nothing more is asked for."""
        observe_sources(definitions_of(self.world), self.instance)
        self.world.built.clear()
        for _ in range(12):
            asked = self.tick()
            if not asked:
                return self.world.built
            self.run(asked)
        raise AssertionError("the daemon never comes to rest")


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World()
    world.condition = build_when_stale(tmp_path)
    return world


@pytest.fixture
def daemon(world: World, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that has built everything."""
    with dg.DagsterInstance.ephemeral() as instance:
        daemon = Daemon(world, tmp_path, instance)
        built = daemon.settle()
        assert sorted(built) == [
            "model", "split_rows", "summary", "words[test]", "words[train]", "words[valid]",
        ]  # fmt: skip
        assert daemon.settle() == []
        yield daemon


def test_a_test_row_rebuilds_the_test_side(daemon: Daemon) -> None:
    daemon.world.rows["test"] = "x"
    assert daemon.settle() == ["split_rows", "words[test]", "summary"]


def test_a_train_row_rebuilds_what_reads_it_each_once_in_order(daemon: Daemon) -> None:
    daemon.world.rows["train"] = "x"
    assert daemon.settle() == ["split_rows", "words[train]", "model", "summary"]


def test_an_equal_result_stops_the_cascade(daemon: Daemon) -> None:
    daemon.world.rows["valid"] = "B"  # lower case: the words stay the same
    assert daemon.settle() == ["split_rows", "words[valid]"]


def test_new_code_rebuilds_from_there(daemon: Daemon) -> None:
    daemon.world.code_version = "2"
    assert daemon.settle() == ["model"]


@pytest.mark.parametrize(
    "split",
    [
        "train",
        pytest.param("valid", marks=pytest.mark.slow),
        pytest.param("test", marks=pytest.mark.slow),
    ],
)
def test_it_agrees_with_the_command_line(daemon: Daemon, split: str) -> None:
    daemon.world.rows[split] = "x"
    built = list(daemon.settle())
    other = World()
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            definitions = definitions_of(other)
            observe_sources(definitions, instance)
            other.built.clear()
            list(refresh(definitions, instance, plan(definitions)))
            other.rows[split] = "x"
    assert sorted(built) == sorted(other.built)


@pytest.mark.slow
def test_what_failed_is_asked_for_once_until_something_changes(daemon: Daemon) -> None:
    daemon.world.rows["train"] = "x"
    daemon.world.broken = {"model"}
    assert daemon.settle() == ["split_rows", "words[train]"]
    daemon.world.broken = set()
    assert daemon.settle() == []
    daemon.world.rows["train"] = "y"
    assert daemon.settle() == ["split_rows", "words[train]", "model", "summary"]


def test_it_rests_while_a_refresh_runs(daemon: Daemon, tmp_path: Path) -> None:
    daemon.world.rows["test"] = "x"
    with refresh_turn(tmp_path):
        assert daemon.settle() == []
    assert daemon.settle() == ["split_rows", "words[test]", "summary"]


def test_it_rests_until_it_has_the_settings_of_the_last_run(daemon: Daemon, tmp_path: Path) -> None:
    memory = tmp_path / "settings.json"
    daemon.world.rows["test"] = "x"
    memory.write_text(json.dumps({"keywords": {"max_phrases": 5}}))
    assert daemon.settle() == []
    daemon.world.condition = build_when_stale(tmp_path)  # the code location is loaded anew
    memory.write_text(json.dumps({"keywords": {"max_phrases": 5}}, indent=2))
    assert daemon.settle() == ["split_rows", "words[test]", "summary"]


@pytest.mark.slow
def test_models_can_be_left_to_the_weekly_training(daemon: Daemon, tmp_path: Path) -> None:
    daemon.world.condition = build_when_stale(tmp_path, Kept(frozenset({"model"})))
    daemon.world.rows["train"] = "x"
    assert daemon.settle() == ["split_rows", "words[train]", "summary"]
    daemon.world.code_version = "2"
    assert daemon.settle() == ["model", "summary"]
