"""Runs of killed processes are closed, those of living ones left alone; one refresh at a time."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from beauty_rec.orchestration.refresh.dead_runs import end_dead_runs, process_tags
from beauty_rec.orchestration.refresh.lock import RefreshRunningError, is_refreshing, refresh_turn
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.settings import child_environment

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
    dg.materialize([endless], instance=instance, tags=process_tags())
"""


def test_the_record_of_a_killed_run_is_closed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], env=child_environment(), check=False
    )
    assert done.returncode == -9
    assert not is_refreshing(tmp_path)  # the kernel gave the turn back
    with open_instance(tmp_path) as instance:
        alive = instance.create_run_for_job(
            dg.Definitions(jobs=[_job()]).resolve_job_def("quiet"), tags=process_tags(),
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


def test_one_refresh_at_a_time(tmp_path: Path) -> None:
    with refresh_turn(tmp_path):
        assert is_refreshing(tmp_path)
        with pytest.raises(RefreshRunningError, match=r"process \d+ is refreshing"):
            refresh_turn(tmp_path).__enter__()
    assert not is_refreshing(tmp_path)


def _job() -> dg.JobDefinition:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def quiet() -> None:
        nothing()

    return quiet
