"""The lock of a data folder: one refresh at a time, since two would build the same twice.

The turn is a file lock, which the kernel takes back from a killed process.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LOCK = "refresh.lock"


class RefreshRunningError(RuntimeError):
    """Another refresh of the data folder is under way."""


@contextmanager
def refresh_turn(data_dir: Path) -> Iterator[None]:
    """Hold the turn of ``data_dir``.

    Raises:
        RefreshRunningError: another process has it; the message names it.
    """
    with _opened(data_dir) as lock:
        if not _take(lock):
            lock.seek(0)
            raise RefreshRunningError(
                f"process {lock.read().strip() or 'unknown'} is refreshing {data_dir} right now; "
                "wait for it to end, or stop it"
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def is_refreshing(data_dir: Path) -> bool:
    """Tell whether a process holds the turn of ``data_dir``."""
    with _opened(data_dir) as lock:
        return not _take(lock)


def _opened(data_dir: Path) -> IO[str]:
    folder = data_dir / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / LOCK).open("a+")


def _take(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
