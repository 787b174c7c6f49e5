"""A real signal to a real `beauty-rec run`: it ends within seconds, and leaves nothing behind."""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest

from beauty_rec.orchestration.refresh.lock import is_refreshing
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.settings import child_environment

SMALL = ("--set", "sample.reviews=100", "--set", "sample.items=20")
SECONDS = 8


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: a second pytest would close its parents to the user that root's server runs as.
    made = Path(tempfile.mkdtemp(prefix="beauty-rec-signals-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.parametrize(
    ("mode", "number", "code"),
    [
        ("python", signal.SIGINT, 130),
        pytest.param("c", signal.SIGTERM, 143, marks=pytest.mark.faults),
        pytest.param("postgres", signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param("postgres", signal.SIGHUP, 129, marks=pytest.mark.faults),
    ],
)
def test_a_signal_ends_the_run(folder: Path, mode: str, number: int, code: int) -> None:
    command = [sys.executable, "-m", "beauty_rec_tests.cli.endless", mode, "run", *SMALL]
    log = (folder / "log").open("w+")
    run = subprocess.Popen(
        [*command, "--data-dir", str(folder)], stdout=log, stderr=log, env=child_environment(),
        start_new_session=True,
    )  # fmt: skip
    wait_for("begun", folder / "log", run)
    left = [*psutil.Process(run.pid).children(recursive=True), *servers(folder)]
    assert len(left) >= (2 if mode == "postgres" else 0)
    began = time.monotonic()
    run.send_signal(number)
    run.send_signal(number)  # as `timeout` does: to the process, then to its group
    assert run.wait(60) == code
    assert time.monotonic() - began < SECONDS
    said = (folder / "log").read_text()
    assert "Traceback" not in said
    assert f"beauty-rec: ended by {signal.Signals(number).name}" in said
    assert not [process for process in left if alive(process)]
    assert not (folder / "never").exists()
    assert not is_refreshing(folder)
    with open_instance(folder) as instance:
        statuses = {run.status for run in instance.get_runs()}
        assert statuses == {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED}


def wait_for(text: str, log: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def servers(folder: Path) -> list[psutil.Process]:
    path = folder / "postgres" / "cluster" / "postmaster.pid"
    return [psutil.Process(int(path.read_text().split("\n")[0]))] if path.exists() else []


def alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_hang_up_that_is_ignored_stays_so() -> None:
    code = (
        "import os, signal; from beauty_rec.cli.signals import end_on_signals; end_on_signals();"
        "os.kill(os.getpid(), signal.SIGHUP); print('alive')"
    )
    done = subprocess.run(
        ["nohup", sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env=child_environment(),
    )  # fmt: skip
    assert done.stdout == "alive\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_that_is_being_imported(number: signal.Signals) -> None:
    code = (
        "import os, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'beauty_rec.cli':\n"
        f"            os.kill(os.getpid(), {number:d})\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from beauty_rec.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env=child_environment(),
    )  # fmt: skip
    assert done.returncode == 128 + number
    assert done.stderr == f"beauty-rec: ended by {number.name}\n"
