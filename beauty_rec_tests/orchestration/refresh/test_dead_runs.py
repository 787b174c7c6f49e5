"""Runs of killed processes are closed, those of living ones left alone; one refresh at a time."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import dagster as dg
import psutil
import pytest

from beauty_rec.orchestration.dagster_internals import EngineEventData
from beauty_rec.orchestration.refresh import dead_runs, lock
from beauty_rec.orchestration.refresh.dead_runs import end_dead_runs, process_tags
from beauty_rec.orchestration.refresh.lock import (
    RefreshRunningError,
    is_refreshing,
    refresh_turn,
    step_turn,
)
from beauty_rec.orchestration.stage.stage import for_settings, stage
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.settings import Settings, child_environment

KILLED = """
import os, sys
from pathlib import Path
import dagster as dg
from beauty_rec.orchestration.refresh.dead_runs import process_tags
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.orchestration.refresh.lock import refresh_turn

@dg.asset
def endless():
    os.kill(os.getpid(), 9)

with open_instance(Path(sys.argv[1])) as instance, refresh_turn(Path(sys.argv[1])):
    dg.materialize([endless], instance=instance, tags=process_tags(instance))
"""


def test_the_record_of_a_killed_run_is_closed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], env=child_environment(), check=False
    )
    assert done.returncode == -9
    assert not is_refreshing(tmp_path)  # the kernel gave the turn back
    with open_instance(tmp_path) as instance:
        alive = instance.create_run_for_job(
            dg.Definitions(jobs=[_job()]).resolve_job_def("quiet"), tags=process_tags(instance),
            status=dg.DagsterRunStatus.STARTED,
        )  # fmt: skip
        ended = end_dead_runs(instance)
        assert len(ended) == 1
        record = instance.get_run_by_id(ended[0])
        assert record is not None
        assert record.status == dg.DagsterRunStatus.FAILURE
        assert end_dead_runs(instance) == []
        still = instance.get_run_by_id(alive.run_id)
        assert still is not None
        assert still.status == dg.DagsterRunStatus.STARTED


def test_a_container_of_another_name_sees_who_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=child_environment())
    with open_instance(tmp_path) as instance:
        alive = start(instance, **process_tags(instance))
        monkeypatch.setattr(socket, "gethostname", lambda: "another")
        monkeypatch.setattr(psutil, "Process", no_such_process)  # its numbers are others
        (ended,) = end_dead_runs(instance)
        assert ended != alive
        assert len(list((tmp_path / "dagster" / "processes").iterdir())) == 1
        assert status_of(instance, alive) == dg.DagsterRunStatus.STARTED


def test_a_run_of_a_killed_dagster_dev_gives_its_pool_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_runs, "LAUNCH_SECONDS", 0)
    worker = subprocess.Popen(["sleep", "100"])
    with open_instance(tmp_path) as instance:
        storage = instance.event_log_storage
        storage.set_concurrency_slots("gpu", 1)
        killed, alive = start(instance), start(instance)
        launched(instance, killed, worker.pid)
        launched(instance, alive, os.getpid())
        storage.claim_concurrency_slot("gpu", killed, "step")
        assert end_dead_runs(instance) == []
        worker.kill()  # a zombie from now on, since nobody waits for it
        assert end_dead_runs(instance) == [killed]
        worker.wait()
        assert status_of(instance, killed) == dg.DagsterRunStatus.FAILURE
        assert status_of(instance, alive) == dg.DagsterRunStatus.STARTED
        assert storage.get_concurrency_info("gpu").active_slot_count == 0
        assert storage.claim_concurrency_slot("gpu", alive, "step").is_claimed


def test_a_number_that_another_process_has_now_is_no_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_runs, "LAUNCH_SECONDS", 0)
    with open_instance(tmp_path) as instance:
        run = start(instance)
        launched(instance, run, os.getpid())
        later = psutil.Process().create_time() + 10_000
        monkeypatch.setattr(psutil.Process, "create_time", lambda _: later)
        assert end_dead_runs(instance) == [run]


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


def start(instance: dg.DagsterInstance, **tags: str) -> str:
    job = dg.Definitions(jobs=[_job()]).resolve_job_def("quiet")
    started = dg.DagsterRunStatus.STARTED
    return instance.create_run_for_job(job, tags=tags, status=started).run_id


def launched(instance: dg.DagsterInstance, run_id: str, pid: int) -> None:
    run = instance.get_run_by_id(run_id)
    data = EngineEventData({"pid": dg.MetadataValue.text(str(pid))})
    instance.report_engine_event(f"Started process for run (pid: {pid}).", run, data)


def status_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def no_such_process(pid: int | None = None) -> psutil.Process:
    raise psutil.NoSuchProcess(pid or 0)


def _job() -> dg.JobDefinition:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def quiet() -> None:
        nothing()

    return quiet
