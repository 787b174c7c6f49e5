"""One refresh at a time; steps by hand build beside one another, but not beside a refresh."""

import threading
import time
from pathlib import Path

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
