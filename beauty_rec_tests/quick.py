"""What the tests' own process leaves out: what only a crash, a terminal or a large set would miss.

Each step of a refresh is a run of its own, and Dagster makes for each a SQLite database, for which
it reads its files of revisions anew, and four processes that repeat the output on a terminal. The
records stay the real ones, in the same files, written and read by the same code. Servers, runs and
kills in processes of their own have all of it.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pytest

from beauty_rec.search.pgvector import server

INITIALISE = server._initialise
"""What makes a cluster outside of tests."""


@pytest.fixture(scope="session", autouse=True)
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Change what the collected tests have loaded; a file that needs no Dagster loads none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        quicken_postgres(patch, tmp_path_factory.mktemp("postgres") / "cluster")
        if "dagster" in sys.modules:
            quicken_records(patch)
        for name in ("engine", "experiment.split_shop"):
            if (switching := sys.modules.get(f"beauty_rec.serving.state.{name}")) is not None:
                patch.setattr(switching, "set_aside", lambda: None)  # a full garbage collection
        yield


def quicken_postgres(patch: pytest.MonkeyPatch, template: Path) -> None:
    """Wait for no disk, and have `initdb` make one cluster, of which the others are copies."""

    def make_or_copy(cluster: Path, programs: server.Programs) -> None:
        if not template.exists():
            INITIALISE(cluster, programs)
            source, target = cluster, template
        else:
            source, target = template, cluster
        target.mkdir(exist_ok=True)
        subprocess.run(["cp", "-a", f"{source}/.", target], check=True)  # owner and mode, too

    patch.setattr(server, "_initialise", make_or_copy)
    patch.setattr(server, "CLUSTER_OPTIONS", (*server.CLUSTER_OPTIONS, "--no-sync"))
    patch.setattr(server, "SERVER_OPTIONS", (*server.SERVER_OPTIONS, "-c fsync=off"))


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
