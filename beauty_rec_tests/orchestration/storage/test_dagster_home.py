"""Where Dagster keeps its records, whatever the data folder is called."""

import runpy
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy

from beauty_rec.orchestration.storage.dagster_home import (
    dagster_home,
    open_copy,
    open_instance,
    refuse_other_records,
)
from beauty_rec.sample import write_sample
from beauty_rec.settings import SampleSettings, Settings, child_environment

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", ["shop [new]", "a*b, {c}", "it's \"$HOME", "#1 ü ~", "c:d"])
def test_a_data_folder_may_be_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with open_instance(tmp_path / name) as instance:
        assert instance.get_runs_count() == 0
        assert instance.root_directory == str(tmp_path / name / "dagster")


@pytest.mark.parametrize("name", ["50%", "what?"])
def test_a_name_that_dagster_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no folder with"):
        dagster_home(tmp_path / name)
    assert not (tmp_path / name).exists()


def look(opened: Callable[[Path], Any], folder: Path) -> int:
    with opened(folder) as instance:
        return len(instance.all_asset_keys()) + int(instance.get_runs_count())


@pytest.mark.parametrize("name", ["history/runs.db", "history/runs/index.db"])
def test_a_damaged_database_is_named_with_the_remedy(tmp_path: Path, name: str) -> None:
    assert look(open_instance, tmp_path) == 0
    file = tmp_path / "dagster" / name
    file.write_bytes(b"no database" * 1_000)
    for opened in (open_instance, open_copy):
        with pytest.raises(RuntimeError, match=rf"{name}.* is damaged.*move it away"):
            look(opened, tmp_path)
    file.unlink()
    assert look(open_instance, tmp_path) == 0


@pytest.mark.parametrize(
    ("options", "said"), [("?mode=ro&uri=true", "cannot be written to"), ("", "are in use")]
)
def test_records_that_are_whole_are_not_called_damaged(
    tmp_path: Path, options: str, said: str
) -> None:
    assert look(open_instance, tmp_path) == 0
    file = tmp_path / "dagster" / "history" / "runs.db"
    url = f"sqlite:///file:{file}{options}" if options else f"sqlite:///{file}"
    engine = sqlalchemy.create_engine(url, connect_args={"timeout": 0.1})
    with closing(sqlite3.connect(file)) as other:
        if not options:
            other.execute("BEGIN IMMEDIATE")
        with (
            pytest.raises(RuntimeError, match=f"records in {tmp_path}/dagster {said}") as refused,
            open_instance(tmp_path),
            engine.begin() as connection,
        ):
            connection.execute(sqlalchemy.text("DELETE FROM runs"))
    assert "damaged" not in str(refused.value)


def test_records_are_copied_as_of_one_moment_while_others_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dg.asset
    def thing() -> None: ...

    file = tmp_path / "dagster" / "history" / "runs.db"
    with open_instance(tmp_path) as instance, closing(sqlite3.connect(file)) as other:
        other.execute("SELECT count(*) FROM runs")  # the log stays while it is connected
        dg.materialize([thing], instance=instance)
        copy_file = shutil.copyfile

        def no_copy_of_runs(source: Path, target: Path) -> None:
            # A checkpoint may fall between the copies of the database and of its log.
            assert not source.name.startswith("runs.db")
            copy_file(source, target)

        monkeypatch.setattr(shutil, "copyfile", no_copy_of_runs)
        with open_copy(tmp_path) as copy:
            assert copy.get_runs_count() == 1


def test_what_is_started_is_told_of_the_folder_and_its_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEAUTY_REC_DATA_DIR", str(tmp_path / "a"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with open_instance(tmp_path / "b"):
        told = child_environment()
        assert told["BEAUTY_REC_DATA_DIR"] == str(tmp_path / "b")
        assert told["DAGSTER_HOME"] == str(tmp_path / "b" / "dagster")
    assert child_environment()["BEAUTY_REC_DATA_DIR"] == str(tmp_path / "a")
    assert "DAGSTER_HOME" not in child_environment()


@pytest.fixture
def two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two data folders that runs were in, and the first chosen by the environment."""
    for name in "ab":
        dagster_home(tmp_path / name)
        (tmp_path / name / "settings.json").write_text("{}")
    monkeypatch.setenv("BEAUTY_REC_DATA_DIR", str(tmp_path / "a"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_is_not_judged_by_the_records_of_another(
    two_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(two_folders / "b" / "dagster"))
    with pytest.raises(ValueError, match=r"records are those of .*/b: set DAGSTER_HOME=.*/a/d"):
        runpy.run_module("beauty_rec.definitions")
    refuse_other_records(Settings(data_dir=two_folders / "b"))
    refuse_other_records(Settings(execution={"worker_data_dir": str(two_folders / "a")}))
    (two_folders / "home").mkdir()  # of containers, which keep the records in PostgreSQL
    for home in (two_folders / "a" / "dagster", two_folders / "home"):
        monkeypatch.setenv("DAGSTER_HOME", str(home))
        refuse_other_records(Settings())


def test_a_clone_has_the_records_of_its_own_data_folder(
    two_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_IS_DEV_CLI", "1")
    (two_folders / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    with pytest.raises(ValueError, match=r"records are those of data: set DAGSTER_HOME="):
        refuse_other_records(Settings())
    refuse_other_records(Settings(data_dir=Path("data")))


@pytest.mark.live
def test_step_processes_build_in_the_folder_that_the_command_names(two_folders: Path) -> None:
    files = write_sample(two_folders / "input", SampleSettings(reviews=100, items=20))
    told = ["run", "--data-dir", "b", "--reviews", str(files.reviews), "--select", "raw_reviews"]
    done = subprocess.run(
        [sys.executable, "-m", "beauty_rec.cli", *told, "--set", "execution.executor=multiprocess"],
        env=child_environment(PYTHONPATH=str(ROOT)), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (two_folders / "b" / "processed" / "raw_reviews.parquet").exists()
    assert not (two_folders / "a" / "processed").exists()
