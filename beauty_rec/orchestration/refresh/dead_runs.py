"""Runs whose process is gone: a killed one says nothing, and its records would say "in progress".

Dagster's daemon sees when a process that it started dies, but nobody looks after the runs of
`beauty-rec run` or of a job's steps. So each of them tells where it runs, and the next refresh, or
the sensor `end_dead_runs`, ends those that are no more and frees their slots.
"""

import os
import socket
from collections.abc import Mapping

import dagster as dg
import psutil
from dagster import DagsterRunStatus

from beauty_rec.orchestration.dagster_internals import MAX_RETRIES_TAG

HOST_TAG = "beauty_rec/host"
PROCESS_TAG = "beauty_rec/process"
IN_PROGRESS = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


def process_tags() -> dict[str, str]:
    """Return the tags of a run that is executed by this very process."""
    started = psutil.Process().create_time()
    return {
        HOST_TAG: socket.gethostname(),
        PROCESS_TAG: f"{os.getpid()}@{started}",
        # The next refresh repairs; the daemon need not.
        MAX_RETRIES_TAG: "0",
    }


def end_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process on this machine is gone; free their slots.

    Returns:
        The ids of the ended runs.
    """
    ended = []
    for run in instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS)):
        if _is_dead(run.tags):
            instance.report_run_failed(run, "The process of this run was killed.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            ended.append(run.run_id)
    return ended


def _is_dead(tags: Mapping[str, str]) -> bool:
    if tags.get(HOST_TAG) != socket.gethostname() or PROCESS_TAG not in tags:
        return False
    pid, _, started = tags[PROCESS_TAG].partition("@")
    try:
        process = psutil.Process(int(pid))
        # Another process may have got the number since.
        same = abs(process.create_time() - float(started)) < 1
        return not same or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
