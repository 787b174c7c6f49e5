"""Dagster's home folder, below the data folder."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
from sqlalchemy.exc import DatabaseError

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.settings import records_in_postgres

INSTANCE_YAML = """\
# Written by beauty-rec when missing; yours to change.
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    granularity: run
    default_limit: 1
# A run whose process was killed is started again; one that failed by itself is not.
run_retries:
  enabled: true
  max_retries: 2
  retry_on_asset_or_op_failure: false
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 60
retention:
  schedule:
    purge_after_days: {skipped: 7, failure: 90, success: 90}
  sensor:
    purge_after_days: {skipped: 2, failure: 30, success: 30}
  auto_materialize:
    purge_after_days: {skipped: 2, failure: 30, success: 30}
freshness:
  enabled: true
"""
POSTGRES_YAML = """\
storage:
  postgres:
    postgres_url:
      env: DAGSTER_POSTGRES_URL
"""
COPIED = ("history", "history/runs", "schedules")
KEPT = ("runs.db", "index.db", "schedules.db")
"""The databases that cover all runs, with their logs; the others hold the events of one run."""


def dagster_home(data_dir: Path) -> Path:
    """Return the data folder's ``DAGSTER_HOME``, made and configured if it is new.

    Raises:
        ValueError: Dagster's address of its SQLite files cannot hold the folder's name.
    """
    home = data_dir.absolute() / "dagster"
    if set("?%") & set(str(home)):
        raise ValueError(f"{data_dir}: Dagster takes no folder with ? or %; name another")
    home.mkdir(parents=True, exist_ok=True)
    config, text = home / "dagster.yaml", _config()
    if not config.exists():
        write_text_atomic(config, text)
    return home


def _config() -> str:
    return INSTANCE_YAML + (POSTGRES_YAML if records_in_postgres() else "")


@contextmanager
def open_instance(data_dir: Path) -> Iterator[dg.DagsterInstance]:
    """Yield the data folder's Dagster instance, and tell child processes of it."""
    home = dagster_home(data_dir)
    os.environ["DAGSTER_HOME"] = str(home)
    with _named(home), dg.DagsterInstance.get() as instance:
        yield instance


@contextmanager
def _named(home: Path) -> Iterator[None]:
    """Have an error of a damaged database say which file it is.

    Raises:
        RuntimeError: in its place; the message has the remedy.
    """
    try:
        yield
    except DatabaseError as error:
        for name in COPIED:
            for file in sorted((home / name).glob("*.db")):
                if file.name in KEPT and (fault := _fault(file)) is not None:
                    raise RuntimeError(
                        f"{file}, of Dagster's records, is damaged ({fault}): move it away and run "
                        "again; what is then unknown is built anew, and what was given is kept"
                    ) from error
        raise


def _fault(file: Path) -> str | None:
    """Return what SQLite finds wrong with a database, None where nothing is."""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as opened:
            (said,) = opened.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return None if said == "ok" else str(said)


@contextmanager
def open_copy(data_dir: Path) -> Iterator[dg.DagsterInstance]:
    """Yield an instance on a copy of the data folder's records, deleted at the end.

    What is written to it leaves the folder as it is, which need not even be writable. Records in
    PostgreSQL are not copied: what is written there, such as what the inputs are, stays.
    """
    home = data_dir.absolute() / "dagster"
    with _named(home), tempfile.TemporaryDirectory(prefix="beauty-rec-") as made:
        copy = Path(made)
        for name in COPIED:
            for file in (home / name).glob("*"):
                if file.is_file() and file.name.startswith(KEPT):
                    (copy / name).mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, copy / name / file.name)
        (copy / "dagster.yaml").write_text(_config())
        with dg.DagsterInstance.from_config(str(copy)) as instance:
            yield instance
