"""What the tests' own process leaves out: what only a crash, a terminal or a large set would miss.

Each step of a refresh is a run of its own, and Dagster makes for each a SQLite database, for which
it reads its files of revisions anew, and four processes that repeat the output on a terminal. The
records stay the real ones, in the same files, written and read by the same code. Servers, runs and
kills in processes of their own have all of it.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

import pytest


@pytest.fixture(scope="session", autouse=True)
def quick() -> Iterator[None]:
    """Change what the collected tests have loaded; a file that needs no Dagster loads none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        if "dagster" in sys.modules:
            quicken_records(patch)
        for name in ("engine", "experiment.split_shop"):
            if (switching := sys.modules.get(f"beauty_rec.serving.state.{name}")) is not None:
                patch.setattr(switching, "set_aside", lambda: None)  # a full garbage collection
        yield


def quicken_records(patch: pytest.MonkeyPatch) -> None:
    """Read revisions once, keep engines, wait for no disk, repeat no output."""
    import sqlalchemy
    from alembic.script import ScriptDirectory
    from dagster._core.execution import compute_logs
    from dagster._core.storage.event_log.sqlite import sqlite_event_log
    from dagster._core.storage.runs.sqlite import sqlite_run_storage

    @lru_cache(16)
    def engine_of(url: str) -> sqlalchemy.Engine:
        waiting = {"timeout": 60}
        made = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, connect_args=waiting)
        sqlalchemy.event.listen(made, "connect", unsynced)
        return made

    patch.setattr(ScriptDirectory, "from_config", cache(ScriptDirectory.from_config))
    for storage in (sqlite_event_log, sqlite_run_storage):
        patch.setattr(storage, "create_engine", lambda url, **_: engine_of(url))
    patch.setattr(compute_logs, "tail_to_stream", unrepeated)


@contextmanager
def unrepeated(path: str, stream: Any) -> Iterator[tuple[None, None]]:
    """Leave a step's output in its file alone."""
    yield (None, None)


def unsynced(connection: Any, _: Any) -> None:
    """Have SQLite leave writing to the system, which outlives a killed process."""
    connection.execute("PRAGMA synchronous=OFF")
