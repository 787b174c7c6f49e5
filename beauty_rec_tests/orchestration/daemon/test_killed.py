"""A `dagster dev` that is killed with all its processes: the next one ends its runs.

A minute long, so outside `make test`: ``make test-live``.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

from beauty_rec.orchestration.refresh.lock import refresh_turn
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.sample import write_sample
from beauty_rec.settings import SampleSettings, child_environment
from beauty_rec_tests.settings.test_secrets import SECRET, TYPED

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]
ASSET = "raw_reviews"


class DagsterDev:
    """`dagster dev` on a data folder, in a process group of its own."""

    def __init__(self, data: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = (data / "dagster-dev.log").open("ab")
        variables = {"DAGSTER_HOME": str(data / "dagster"), "BEAUTY_REC_DATA_DIR": str(data)}
        command = ["-m", "dagster", "dev", "-m", "beauty_rec.definitions", "-p", str(self.port)]
        self.process = subprocess.Popen(
            [sys.executable, *command],
            env=child_environment(**variables),
            cwd=data, stdout=self.log, stderr=self.log, start_new_session=True,
        )  # fmt: skip

    def materialize(self) -> str:
        deadline = time.monotonic() + 120
        while True:
            try:
                client = DagsterGraphQLClient("127.0.0.1", port_number=self.port)
                return client.submit_job_execution("__ASSET_JOB", asset_selection=[ASSET])
            except (DagsterGraphQLClientError, OSError):
                assert time.monotonic() < deadline
                time.sleep(1)

    def type(self, asset: str, config: dict) -> str:
        """Submit a run with this config, as the launchpad does; return why it is refused."""
        client = DagsterGraphQLClient("127.0.0.1", port_number=self.port)
        with pytest.raises(DagsterGraphQLClientError) as refused:
            client.submit_job_execution("__ASSET_JOB", run_config=config, asset_selection=[asset])
        return str(refused.value)

    def end(self, number: int) -> None:
        os.killpg(self.process.pid, number)
        self.process.wait(60)
        self.log.close()


def test_what_ran_when_it_was_killed_is_ended_and_started_again(tmp_path: Path) -> None:
    write_sample(tmp_path / "raw" / "sample", SampleSettings(reviews=100, items=20))
    with open_instance(tmp_path) as instance:
        with refresh_turn(tmp_path):  # so that the step waits
            first = DagsterDev(tmp_path)
            try:
                run = first.materialize()
                until(lambda: waits(instance, run), 120)
            finally:
                first.end(signal.SIGKILL)
        assert status(instance, run) == dg.DagsterRunStatus.STARTED
        second = DagsterDev(tmp_path)
        try:
            until(lambda: status(instance, run) == dg.DagsterRunStatus.FAILURE, 180)
            later = second.materialize()
            until(lambda: status(instance, later) == dg.DagsterRunStatus.SUCCESS, 120)
            for name, config in TYPED.items():
                assert "unexpected config entry" in second.type(name.split()[0], config)
        finally:
            second.end(signal.SIGTERM)
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in content for content in kept)


def waits(instance: dg.DagsterInstance, run_id: str) -> bool:
    return any("waits for the refresh" in e.user_message for e in instance.all_logs(run_id))


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def until(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.5)
