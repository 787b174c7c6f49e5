"""Dagster's home folder, below the data folder."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import dagster as dg
from sqlalchemy.exc import DatabaseError

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.settings import Settings, records_in_postgres

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
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
REFUSED = {
    sqlite3.SQLITE_READONLY: "cannot be written to; see who may read and write there",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened or written to; see who may read and write there",
    sqlite3.SQLITE_PERM: "cannot be opened; see who may read and write there",
    sqlite3.SQLITE_FULL: "have no room; make room, or name another --data-dir",
    sqlite3.SQLITE_BUSY: "are in use by another process for too long; try again",
}
"""What SQLite refuses of records that are as they should be."""


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


def refuse_other_records(settings: Settings) -> None:
    """Refuse to load where the records in use are those of another data folder.

    By them what stands in this one would be judged, and built anew.

    Raises:
        ValueError: the message names both folders and the remedy.
    """
    home, own = _home_in_use(), settings.data_dir / "dagster"
    if home is None or home.resolve() == own.resolve():
        return
    if str(settings.data_dir) == settings.execution.worker_data_dir:
        return  # of a worker: the records are those of who started the step
    raise ValueError(
        f"the data folder is {settings.data_dir}, but the records are those of {home.parent}: "
        f"set DAGSTER_HOME={own}, or unset BEAUTY_REC_DATA_DIR"
    )


def _home_in_use() -> Path | None:
    """Return where the records in use stand, where that is the home of a data folder."""
    if told := os.environ.get("DAGSTER_HOME"):
        home = Path(told)
        of_a_folder = home.name == "dagster" and (home.parent / "settings.json").exists()
        return home if of_a_folder else None
    config = Path("dagster.yaml")  # of a clone, which `dagster dev` reads without the variable
    if os.environ.get("DAGSTER_IS_DEV_CLI") and config.is_file():
        home = Path("data/dagster")
        return home if f"base_dir: {home}\n" in config.read_text(encoding="utf-8") else None
    return None


@contextmanager
def open_instance(data_dir: Path) -> Iterator[dg.DagsterInstance]:
    """Yield the data folder's Dagster instance; what is started meanwhile is told of both."""
    home = dagster_home(data_dir)
    told = {"DAGSTER_HOME": str(home), "BEAUTY_REC_DATA_DIR": str(home.parent)}
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        with _named(home), dg.DagsterInstance.get() as instance:
            yield instance
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _named(home: Path) -> Iterator[None]:
    """Have an error of a damaged database say which file it is, and any other what is the matter.

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
        if (said := REFUSED.get(_code(error.orig))) is not None:
            raise RuntimeError(f"Dagster's records in {home} {said} ({error.orig})") from error
        raise


def _code(error: BaseException | None) -> int:
    """Return the kind of an error of SQLite, without what is added to it; 0 where it has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _fault(file: Path) -> str | None:
    """Return what SQLite finds wrong with a database, None where nothing is, or none can tell."""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as opened:
            (said,) = opened.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return str(error) if _code(error) in DAMAGED else None
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
            for file in (home / name).glob("*.db"):
                if file.name in KEPT:
                    (copy / name).mkdir(parents=True, exist_ok=True)
                    _copy(file, copy / name)
        (copy / "dagster.yaml").write_text(_config())
        with dg.DagsterInstance.from_config(str(copy)) as instance:
            yield instance


def _copy(file: Path, folder: Path) -> None:
    """Copy a database as it is at one moment, while others may write to it."""
    log = file.with_name(f"{file.name}-wal")
    for _ in range(10):
        before = file.stat().st_mtime_ns
        if log.exists():  # somebody has it open, or was killed
            try:
                with (
                    closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as opened,
                    closing(sqlite3.connect(folder / file.name)) as copy,
                ):
                    opened.backup(copy)
                return
            except sqlite3.Error:  # it is damaged, or nothing may be written beside it
                with suppress(FileNotFoundError):
                    shutil.copyfile(log, folder / log.name)
        shutil.copyfile(file, folder / file.name)
        if file.stat().st_mtime_ns == before:
            return
