"""Folders that are full or read-only: one line, and what needs no writing works."""

import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from beauty_rec.cli import app
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.sample import has_sample, write_sample
from beauty_rec.settings import SampleSettings, Settings, child_environment
from beauty_rec_tests.plain_user import beauty_rec_plainly
from beauty_rec_tests.recommender.synthetic_set import Size, publish_synthetic

SMALL = ("--set", "sample.reviews=100", "--set", "sample.items=20")
RAW = ("--select", "raw_reviews,raw_items")


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="beauty-rec-folders-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def beauty_rec(*arguments: object, most_bytes: int | None = None) -> subprocess.CompletedProcess:
    """Run a command; it can write files of ``most_bytes`` at most, as on a disk that gets full."""

    def bounded() -> None:
        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    return subprocess.run(
        [sys.executable, "-m", "beauty_rec.cli", *map(str, arguments)],
        capture_output=True, text=True, check=False, env=child_environment(), preexec_fn=bounded,
    )  # fmt: skip


def content(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize(
    "most_bytes",
    [
        pytest.param(1_000, marks=pytest.mark.slow),
        pytest.param(200_000, marks=pytest.mark.faults),
    ],
)
def test_a_full_disk_is_one_line(folder: Path, most_bytes: int) -> None:
    done = beauty_rec("run", "--data-dir", folder / "d", *SMALL, *RAW, most_bytes=most_bytes)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    ours = [line for line in done.stderr.splitlines() if line.startswith("beauty-rec: ")]
    assert ours == done.stderr.splitlines()[-1:]  # Dagster may have said before what it could not


def test_a_dry_run_writes_nothing(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("name = 'own'")

    def run(*options: str) -> Result:
        return CliRunner().invoke(app, ["run", "--data-dir", str(folder / "d"), *options, *RAW])

    new = run(*SMALL, "--set", f"attributes.domain={tmp_path / 'own.toml'}", "--dry-run")
    assert new.exit_code == 0, new.output
    assert [line.split()[0] for line in new.stdout.splitlines()] == ["build", "build"]
    assert content(folder) == {}
    built = run(*SMALL)
    assert built.exit_code == 0, built.output
    before = content(folder)
    again = run("--dry-run")
    assert [line.split()[0] for line in again.stdout.splitlines()] == ["fresh", "fresh"]
    assert content(folder) == before


@pytest.mark.slow
def test_a_read_only_folder_is_examined_and_stays_as_it_is(folder: Path) -> None:
    built = beauty_rec("run", "--data-dir", folder / "d", *SMALL, *RAW)
    assert built.returncode == 0, built.stderr
    for path in (folder / "d", *(folder / "d").rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = content(folder)
    examined = beauty_rec_plainly("doctor", "--data-dir", folder / "d")
    assert re.search(r"^\w+ +artifacts ", examined.stdout, re.MULTILINE), examined.stderr
    assert "damaged:" not in examined.stdout + examined.stderr
    assert content(folder) == before


@pytest.mark.parametrize(
    "command",
    [("run", "--dry-run", "--data-dir"), ("report", "--data-dir"), ("data", "sample", "--folder"),
     ("data", "download", "--folder")],
)  # fmt: skip
def test_an_unset_variable_names_no_folder(command: tuple[str, ...]) -> None:
    refused = CliRunner().invoke(app, [*command, ""])
    assert refused.exit_code == 2
    assert "an empty name" in refused.stderr


def test_a_sample_is_written_once(tmp_path: Path) -> None:
    small = SampleSettings(reviews=100, items=20)
    assert not has_sample(tmp_path, small)
    files = write_sample(tmp_path, small)
    assert has_sample(tmp_path, small)
    assert not has_sample(tmp_path, small.model_copy(update={"seed": 2}))
    files.profiles.unlink()
    assert not has_sample(tmp_path, small)


def test_a_sample_goes_where_the_data_folder_is(folder: Path) -> None:
    done = beauty_rec("data", "sample", "--data-dir", folder, "--reviews", 100, "--items", 20)
    assert done.returncode == 0, done.stderr
    assert (folder / "raw" / "sample" / "reviews.jsonl.gz").is_file()
    assert Settings(data_dir=folder).sample == SampleSettings(reviews=100, items=20)


@pytest.mark.faults
def test_a_read_only_copy_is_searched_and_served(folder: Path, encoder: TextEncoder) -> None:
    publish_synthetic(folder / "w", Size(items=40, events=300, seed=1), encoder, encode=True)
    copy = folder / "copy"
    shutil.copytree(folder / "w" / "serving", copy / "serving")
    (copy / "postgres").mkdir()
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    done = subprocess.run(
        [sys.executable, "-m", "beauty_rec_tests.cli.read_only", str(folder / "w"), str(copy)],
        capture_output=True, text=True, check=False, env=child_environment(HOME="/tmp"),
    )  # fmt: skip
    copy.chmod(0o755)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split("read-only\n")
    answers, (ready, refused) = second.splitlines()[:-2], second.splitlines()[-2:]
    assert answers == first.splitlines()
    assert ready == "ready True 40"
    assert "is read-only" in refused
    assert done.stderr.count("the data folder is read-only") >= 2
