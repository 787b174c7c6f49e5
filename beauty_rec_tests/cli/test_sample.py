"""The synthetic sample of a data folder: what runs on it, and when it is written."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from beauty_rec.cli import app
from beauty_rec.orchestration.refresh.lock import RefreshRunningError, refresh_turn


def call(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--data-dir", str(folder)])


def sample(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "raw" / "sample").iterdir()}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    made = call(tmp_path / "d", "data", "sample", "--reviews", "100", "--items", "20")
    assert made.exit_code == 0, made.output
    return tmp_path / "d"


@pytest.mark.parametrize(
    "command", [("run", "--set", "sample.seed=2"), ("data", "sample", "--seed", "2")]
)
def test_what_a_run_reads_is_not_written_anew(shop: Path, command: tuple[str, ...]) -> None:
    before, kept = sample(shop), (shop / "settings.json").read_text()
    with refresh_turn(shop):
        refused = call(shop, *command)
    assert isinstance(refused.exception, RefreshRunningError), refused.output
    assert sample(shop) == before
    assert (shop / "settings.json").read_text() == kept


def test_a_run_that_selects_nothing_leaves_the_sample(shop: Path) -> None:
    before = sample(shop)
    assert call(shop, "run", "--set", "sample.seed=2", "--select", "nothing").exit_code
    assert sample(shop) == before


@pytest.mark.slow
def test_a_dry_run_tells_what_another_sample_makes_stale(shop: Path) -> None:
    built = call(shop, "run", "--select", "raw_items,user_profiles")
    assert built.exit_code == 0, built.output
    before = sample(shop)
    same = call(shop, "run", "--dry-run", "--select", "raw_items").stdout
    other = call(shop, "run", "--dry-run", "--select", "raw_items", "--set", "sample.seed=2").stdout
    assert same.split() == ["fresh", "raw_items"]
    assert other.split() == ["build", "raw_items", "metadata_file", "changed"]
    assert sample(shop) == before
    (shop / "raw" / "sample" / "meta.jsonl.gz").unlink()  # a run writes it again
    again = call(shop, "run", "--dry-run", "--select", "raw_items").stdout
    assert again.split() == ["fresh", "raw_items"]


def test_a_plan_is_not_made_of_another_sample(shop: Path) -> None:
    refused = call(shop, "plan", "--set", "sample.seed=2")
    assert isinstance(refused.exception, FileNotFoundError)
    assert "is of other settings: beauty-rec data sample" in str(refused.exception)
