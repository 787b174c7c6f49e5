"""What the tests' own process leaves out: what only a crash, a terminal or a large set would miss.

Each step of a refresh is a run of its own, and Dagster makes for each a SQLite database, for which
it reads its files of revisions anew, and four processes that repeat the output on a terminal. The
records stay the real ones, in the same files, written and read by the same code. Servers, runs and
kills in processes of their own have all of it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache, partial
from typing import Any

import pytest


@pytest.fixture(scope="session", autouse=True)
def quick() -> Iterator[None]:
    """Read revisions once, wait for no disk, repeat no output, collect no garbage at a switch."""
    import sqlalchemy
    from alembic.script import ScriptDirectory
    from dagster._core.execution import compute_logs
    from dagster._core.storage.event_log.sqlite import sqlite_event_log
    from dagster._core.storage.runs.sqlite import sqlite_run_storage

    from beauty_rec.serving.state import engine
    from beauty_rec.serving.state.experiment import split_shop

    waiting = {"timeout": 60}
    kept = partial(sqlalchemy.create_engine, poolclass=sqlalchemy.NullPool, connect_args=waiting)
    engine_of = lru_cache(16)(kept)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", cache(ScriptDirectory.from_config))
        for storage in (sqlite_event_log, sqlite_run_storage):
            patch.setattr(storage, "create_engine", lambda url, **_: engine_of(url))
        patch.setattr(compute_logs, "tail_to_stream", unrepeated)
        for switching in (engine, split_shop):
            patch.setattr(switching, "set_aside", lambda: None)
        patch.setattr(os, "fsync", lambda _: None)
        sqlalchemy.event.listen(sqlalchemy.Engine, "connect", unsynced)
        yield
        sqlalchemy.event.remove(sqlalchemy.Engine, "connect", unsynced)


@contextmanager
def unrepeated(path: str, stream: Any) -> Iterator[tuple[None, None]]:
    """Leave a step's output in its file alone."""
    yield (None, None)


def unsynced(connection: Any, _: Any) -> None:
    """Have SQLite leave writing to the system, which outlives a killed process."""
    if type(connection).__module__ == "sqlite3":
        connection.execute("PRAGMA synchronous=OFF")
