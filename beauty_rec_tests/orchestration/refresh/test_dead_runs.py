"""Runs of killed processes are closed, those of living ones left alone."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.events import RunFailureReason
from dagster._core.execution.api import execute_run
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._core.remote_origin import RemoteJobOrigin

from beauty_rec.orchestration.code_location import CodeLocation
from beauty_rec.orchestration.daemon.jobs import evaluate
from beauty_rec.orchestration.dagster_internals import EngineEventData
from beauty_rec.orchestration.refresh import dead_runs
from beauty_rec.orchestration.refresh.dead_runs import (
    LIFE_TAG,
    RUN_TAG,
    end_dead_runs,
    life_tags,
    process_tags,
)
from beauty_rec.orchestration.refresh.lock import (
    REFRESH_TAG,
    RefreshRunningError,
    is_refreshing,
    refresh_turn,
)
from beauty_rec.orchestration.stage.stage import for_settings, stage
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.settings import Settings, child_environment
from beauty_rec_tests.orchestration.world import LAUNCHER

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


@pytest.mark.slow
def test_a_container_of_another_name_sees_who_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=child_environment())
    with open_instance(tmp_path) as instance:
        alive = start(instance, process_tags(instance))
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


@pytest.mark.slow
def test_a_run_that_repeats_a_killed_one_lives_while_it_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_runs, "LAUNCH_SECONDS", 0)
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=child_environment())
    ended: list[str] = []

    @stage(group="raw", io="io_manager")
    def looked_at(context: dg.AssetExecutionContext) -> None:
        ended.extend(end_dead_runs(context.instance))

    made = for_settings([looked_at], Settings(data_dir=tmp_path))
    definitions = dg.Definitions(assets=made, executor=dg.in_process_executor)
    job = definitions.resolve_implicit_global_asset_job_def()
    with open_instance(tmp_path) as instance:
        (killed,) = end_dead_runs(instance)
        # Dagster gives them to the run that repeats it.
        taken = {**tags_of(instance, killed), REFRESH_TAG: "1"}
        waits = start(instance, taken, LAUNCHER)
        assert end_dead_runs(instance) == []  # not a process yet
        launched(instance, waits, os.getpid())
        assert end_dead_runs(instance) == []

        run = instance.create_run_for_job(job, tags=taken, remote_job_origin=LAUNCHER)
        launched(instance, run.run_id, os.getpid())
        assert execute_run(InMemoryJob(job), run, instance).success
        assert ended == []
        with pytest.raises(RefreshRunningError):  # what judges the step is in this process, too
            refresh_turn(tmp_path).__enter__()
        own = {**life_tags(instance), RUN_TAG: run.run_id}
        assert tags_of(instance, run.run_id).items() >= own.items()


def test_a_job_that_repeats_a_killed_one_says_where_it_runs(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    resources = {"settings": settings, "code_location": CodeLocation(settings)}
    job = dg.Definitions(jobs=[evaluate], resources=resources).resolve_job_def("evaluate")
    with open_instance(tmp_path) as instance:
        taken = {LIFE_TAG: "gone.lock", RUN_TAG: "of before"}
        done = job.execute_in_process(
            run_config={"ops": {"refresh_assets": {"config": {"select": "nothing"}}}},
            instance=instance,
            tags=taken,
            raise_on_error=False,
        )
        own = {**life_tags(instance), RUN_TAG: done.run_id}
        assert tags_of(instance, done.run_id).items() >= own.items()
        # Dagster starts it again where its process was killed, and where it failed by itself not.
        run = instance.get_run_by_id(done.run_id)
        assert run is not None
        assert run.status == dg.DagsterRunStatus.FAILURE
        for reason, again in (("RUN_EXCEPTION", True), ("STEP_FAILURE", False)):
            found = auto_reexecution_should_retry_run(instance, run, RunFailureReason[reason])
            assert found is again


def start(
    instance: dg.DagsterInstance,
    tags: Mapping[str, str] | None = None,
    origin: RemoteJobOrigin | None = None,
) -> str:
    job = dg.Definitions(jobs=[_job()]).resolve_job_def("quiet")
    started = dg.DagsterRunStatus.STARTED
    return instance.create_run_for_job(
        job, tags=tags, status=started, remote_job_origin=origin
    ).run_id


def launched(instance: dg.DagsterInstance, run_id: str, pid: int) -> None:
    run = instance.get_run_by_id(run_id)
    data = EngineEventData({"pid": dg.MetadataValue.text(str(pid))})
    instance.report_engine_event(f"Started process for run (pid: {pid}).", run, data)


def tags_of(instance: dg.DagsterInstance, run_id: str) -> Mapping[str, str]:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.tags


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
