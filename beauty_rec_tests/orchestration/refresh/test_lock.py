"""One refresh at a time; steps by hand build beside one another, but not beside a refresh."""

import threading
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from beauty_rec.orchestration.refresh import lock
from beauty_rec.orchestration.refresh.lock import (
    RefreshRunningError,
    is_refreshing,
    refresh_turn,
    step_turn,
)
from beauty_rec.orchestration.stage.stage import for_settings, stage
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.settings import Settings


def test_one_refresh_at_a_time(tmp_path: Path) -> None:
    with refresh_turn(tmp_path):
        assert is_refreshing(tmp_path)
        with pytest.raises(RefreshRunningError, match=r"process \d+ is refreshing"):
            refresh_turn(tmp_path).__enter__()
    assert not is_refreshing(tmp_path)


def test_steps_by_hand_build_side_by_side_but_not_beside_a_refresh(tmp_path: Path) -> None:
    said: list[str] = []
    with step_turn(tmp_path, said.append), step_turn(tmp_path, said.append):
        assert not is_refreshing(tmp_path)
        with pytest.raises(RefreshRunningError, match="started in Dagster is building"):
            refresh_turn(tmp_path).__enter__()
    assert said == []


def test_a_materialization_by_hand_waits_for_the_refresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "POLL_SECONDS", 0.01)
    read: list[int] = []
    made = iter((1, 2))

    @stage(group="raw", io="io_manager")
    def parent(context: dg.AssetExecutionContext) -> int:
        return next(made)

    @stage(group="raw", io="io_manager")
    def thing(context: dg.AssetExecutionContext, parent: int) -> None:
        read.append(parent)

    assets = for_settings([parent, thing], Settings(data_dir=tmp_path / "shop"))
    with open_instance(tmp_path / "elsewhere") as instance:  # as `dagster dev` has one
        dg.materialize(assets, instance=instance, selection="parent")
        by_hand = threading.Thread(
            target=dg.materialize,
            args=(assets,),
            kwargs={"instance": instance, "selection": "thing"},
        )
        with refresh_turn(tmp_path / "shop"):
            by_hand.start()
            deadline = time.monotonic() + 30
            while not waiting(instance):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert read == []
            tags = {lock.REFRESH_TAG: "1"}
            dg.materialize(assets, instance=instance, selection="parent", tags=tags)
        by_hand.join(30)
        assert read == [2]


def waiting(instance: dg.DagsterInstance) -> bool:
    return any(
        "waits for the refresh" in entry.user_message
        for run in instance.get_runs()
        for entry in instance.all_logs(run.run_id)
    )


def test_a_step_by_hand_has_its_turn_until_its_artifact_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    had: list[bool] = []

    class Storing(dg.InMemoryIOManager):
        def handle_output(self, context: dg.OutputContext, obj: object) -> None:
            had.append(has_turn(tmp_path))
            super().handle_output(context, obj)

    @stage(group="raw", io="io_manager")
    def thing(context: dg.AssetExecutionContext) -> int:
        had.append(has_turn(tmp_path))
        return 1

    (asset,) = for_settings([thing], Settings(data_dir=tmp_path))
    assert asset.op.output_def_named("result").dagster_type.display_name == "Int"
    with open_instance(tmp_path) as instance:
        handle = instance.handle_new_event

        def recorded(event: dg.EventLogEntry, **more: Any) -> None:
            handle(event, **more)
            if event.dagster_event and event.dagster_event.is_step_materialization:
                had.append(has_turn(tmp_path))

        monkeypatch.setattr(instance, "handle_new_event", recorded)
        dg.materialize([asset], instance=instance, resources={"io_manager": Storing()})
    assert had == [True, True, True]
    assert not has_turn(tmp_path)


def has_turn(data_dir: Path) -> bool:
    """Whether somebody builds there, so that no refresh could begin."""
    try:
        with refresh_turn(data_dir):
            return False
    except RefreshRunningError:
        return True
