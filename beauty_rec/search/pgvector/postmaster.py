"""What stands behind a cluster's ``postmaster.pid``: a server, a dying one, or nobody."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil

PATIENCE_SECONDS = 60
ORPHAN_SECONDS = 5


def wait_until_settled(cluster: Path) -> bool:
    """Return whether a server is ready; wait for one that is starting or stopping.

    A ``postmaster.pid`` that no living server stands behind is removed.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while lines := status_lines(cluster):
        if not is_postgres_of(cluster, int(lines[0])):
            (cluster / "postmaster.pid").unlink(missing_ok=True)
            return False
        if len(lines) > 7 and lines[7] == "ready":
            return True
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"the PostgreSQL server {lines[0]} of {cluster} has been neither ready nor gone "
                f"for {PATIENCE_SECONDS} s; see {cluster / 'server.log'}"
            )
        time.sleep(0.02)
    return False


def status_lines(cluster: Path) -> list[str]:
    """Return the lines of ``postmaster.pid``: pid, folder, start, port, socket folder, …, state."""
    try:
        text = (cluster / "postmaster.pid").read_text()
    except (FileNotFoundError, NotADirectoryError):
        return []
    lines = [line.strip() for line in text.splitlines()]
    return lines if lines and lines[0].isdigit() else ["0"]


def is_postgres_of(cluster: Path, pid: int) -> bool:
    """Whether ``pid`` is a living process of ``cluster``; one that nobody reaped is dead."""
    try:
        process = psutil.Process(pid)
        if process.name() != "postgres" or process.status() == psutil.STATUS_ZOMBIE:
            return False
        return Path(process.cwd()) == cluster
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # a server, but not of a user that we may look at
        return True


def end_orphans(cluster: Path) -> None:
    """End what a killed server left computing; a new one cannot start beside it."""
    orphans = psutil.pids()
    for signal_ in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + ORPHAN_SECONDS
        orphans = [pid for pid in orphans if is_postgres_of(cluster, pid)]
        for pid in orphans:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal_)
        while time.monotonic() < deadline and any(is_postgres_of(cluster, p) for p in orphans):
            time.sleep(0.02)
