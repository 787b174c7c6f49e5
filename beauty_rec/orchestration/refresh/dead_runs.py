"""Runs whose process is gone: a killed one says nothing, and its records would say "in progress".

Dagster's daemon sees when a process that it started dies, but only while the daemon lives; nobody
looks after the runs of a killed `dagster dev`, of `beauty-rec run`, or of a job's steps. So the
next refresh, or the sensor `end_dead_runs`, ends those that are no more and frees their slots.

A run says where it runs: the file whose lock its process holds, which the kernel takes back from a
killed process, whatever the host is called that looks at it; and host, number and start of the
process, for who does not share that file. A run of the daemon that has not got so far is known by
the number that the daemon has noted. So is one that repeats another run, to which Dagster gives the
tags of that one: until it has written its own.
"""

import fcntl
import os
import socket
import time
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

import dagster as dg
import psutil
from dagster import DagsterRunStatus

from beauty_rec.orchestration.dagster_internals import MAX_RETRIES_TAG
from beauty_rec.orchestration.refresh.lock import take
from beauty_rec.settings import records_in_postgres

HOST_TAG = "beauty_rec/host"
PROCESS_TAG = "beauty_rec/process"
LIFE_TAG = "beauty_rec/life"
RUN_TAG = "beauty_rec/run"
"""Names the run that the three above were written for."""
IN_PROGRESS = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
LAUNCH_SECONDS = 60
"""For a run of the daemon to begin its first step, and to say where it runs."""


def process_tags(instance: dg.DagsterInstance) -> dict[str, str]:
    """Return the tags of a refresh's run, which this very process executes."""
    # The next refresh repairs; the daemon need not.
    return {**life_tags(instance), MAX_RETRIES_TAG: "0"}


def life_tags(instance: dg.DagsterInstance) -> dict[str, str]:
    """Return the tags by which anybody sees whether this process lives."""
    return {
        HOST_TAG: socket.gethostname(),
        PROCESS_TAG: f"{os.getpid()}@{psutil.Process().create_time()}",
        LIFE_TAG: _life(_folder(instance), os.getpid())[0],
    }


def is_launched(run: dg.DagsterRun) -> bool:
    """Tell whether Dagster launched a run; such a one may repeat another, with that one's tags."""
    return run.remote_job_origin is not None


def end_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process is gone; free their slots.

    Returns:
        The ids of the ended runs.
    """
    ended = []
    for run in instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS)):
        if is_dead(instance, run):
            instance.report_run_failed(run, "The process of this run was killed.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            ended.append(run.run_id)
    _sweep(_folder(instance))
    return ended


def is_dead(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Tell whether the process of a run in progress is gone."""
    own = not is_launched(run) or run.tags.get(RUN_TAG) == run.run_id
    tags = run.tags if own else {}
    life = _folder(instance) / tags[LIFE_TAG] if LIFE_TAG in tags else None
    if life is not None and life.exists():
        with life.open() as opened:
            return take(opened, fcntl.LOCK_EX)
    if PROCESS_TAG in tags:
        if tags.get(HOST_TAG) != socket.gethostname():
            return False
        pid, _, started = tags[PROCESS_TAG].partition("@")
        return not _lives(int(pid), float(started) - 1, float(started) + 1)
    launched = launched_process(instance, run.run_id)
    if launched is None or records_in_postgres():  # it may run on another machine
        return False
    pid_, noted = launched
    return time.time() - noted > LAUNCH_SECONDS and not _lives(pid_, 0, noted + 1)


def launched_process(instance: dg.DagsterInstance, run_id: str) -> tuple[int, float] | None:
    """Return the number of the process that the daemon started for a run, and when it said so."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        pid = event.engine_event_data.metadata.get("pid") if event else None
        if pid is not None and str(pid.value).isdigit():
            return int(str(pid.value)), entry.timestamp
    return None


def _lives(pid: int, earliest: float, latest: float) -> bool:
    """Whether a process lives that began then; another one may have got the number since."""
    try:
        process = psutil.Process(pid)
        began: float = process.create_time()
        zombie: bool = process.status() == psutil.STATUS_ZOMBIE
        return earliest <= began <= latest and not zombie
    except psutil.NoSuchProcess:
        return False


def _folder(instance: dg.DagsterInstance) -> Path:
    return Path(instance.root_directory) / "processes"


@cache
def _life(folder: Path, pid: int) -> tuple[str, IO[str]]:
    """Return the name of a file, and the file, whose lock this process holds until its end."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{pid}-{uuid.uuid4().hex[:12]}.lock"
    opened = (folder / name).open("w")
    take(opened, fcntl.LOCK_EX)
    return name, opened


def _sweep(folder: Path) -> None:
    """Delete the files of dead processes; their runs are ended."""
    for path in folder.glob("*.lock"):
        with suppress(OSError), path.open() as opened:
            if take(opened, fcntl.LOCK_EX):
                path.unlink()
