"""The turn of a data folder: one refresh at a time, since two would build the same twice.

Steps of runs that no refresh started may build side by side, but not beside a refresh. The turn is
a file lock, which the kernel takes back from a killed process.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LOCK = "refresh.lock"
REFRESH_TAG = "beauty_rec/refresh"
"""Of the runs that a refresh started, which holds the turn for them."""
PARENT_TAG = "beauty_rec/job_run"
"""Names the run of the job that a step's run belongs to."""
POLL_SECONDS = 1.0
LOOK_SECONDS = 0.3
"""Within which who only looks whether a refresh runs has let the turn go again."""


class RefreshRunningError(RuntimeError):
    """The data folder is being built by another process."""


@contextmanager
def refresh_turn(data_dir: Path, patience: float = 0) -> Iterator[None]:
    """Hold the turn of ``data_dir`` for a refresh.

    Args:
        data_dir: what is refreshed.
        patience: seconds to wait for it.

    Raises:
        RefreshRunningError: another process has it; the message names it.
    """
    deadline = time.monotonic() + max(patience, LOOK_SECONDS)
    with _opened(data_dir / "dagster") as lock:
        while not take(lock, fcntl.LOCK_EX):
            if time.monotonic() >= deadline:
                raise RefreshRunningError(_who(lock, data_dir))
            time.sleep(POLL_SECONDS if patience else LOOK_SECONDS / 5)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


_KEPT: list[IO[str]] = []
"""Locks that this process holds until its end."""


@contextmanager
def step_turn(
    data_dir: Path, say: Callable[[str], object], *, to_the_end: bool = False
) -> Iterator[bool]:
    """Hold the turn of a step that no refresh started; wait while a refresh runs.

    Yields whether it had to.

    Args:
        data_dir: what it builds in.
        say: called with the reason once, where it has to wait.
        to_the_end: of this process, which runs nothing else: what judges the step is in it, too.
    """
    lock = _opened(data_dir / "dagster")
    if to_the_end:
        _KEPT.append(lock)
    try:
        waits = not take(lock, fcntl.LOCK_SH)
        if waits:
            say(f"waits for the refresh of {data_dir} to end")
            while not take(lock, fcntl.LOCK_SH):
                time.sleep(POLL_SECONDS)
        yield waits
    finally:
        if not to_the_end:
            lock.close()


def is_refreshing(data_dir: Path) -> bool:
    """Tell whether a refresh holds the turn of ``data_dir``."""
    with _opened(data_dir / "dagster") as lock:
        return not take(lock, fcntl.LOCK_SH)


def _who(lock: IO[str], data_dir: Path) -> str:
    if take(lock, fcntl.LOCK_SH):
        return (
            f"a run that was started in Dagster is building in {data_dir} right now; "
            "wait for it to end, or stop it there"
        )
    lock.seek(0)
    return (
        f"process {lock.read().strip() or 'unknown'} is refreshing {data_dir} right now; "
        "wait for it to end, or stop it"
    )


def _opened(home: Path) -> IO[str]:
    home.mkdir(parents=True, exist_ok=True)
    return (home / LOCK).open("a+")


def take(lock: IO[str], kind: int) -> bool:
    """Take the lock of an open file, of a kind of ``fcntl``; return False where others have it."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
