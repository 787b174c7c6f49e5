"""Forgetting, and carrying elsewhere, by command: the right user, in a folder that is one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from beauty_rec.cli import app
from beauty_rec.corpus.forgotten import Mark
from beauty_rec.serving.published.last_event import last_in_sets
from beauty_rec.serving.state import taking

DAY_MS = 86_400_000


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


class KnownUsers:
    """Stands for the store."""

    def __init__(self) -> None:
        self.forgotten: list[tuple[str, int]] = []

    def forget(self, user_id: str, known_ms: int) -> tuple[Mark, int]:
        self.forgotten.append((user_id, known_ms))
        return Mark(b"salt", b"digest", 1), 3

    def scrub(self) -> bool:
        return True


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> KnownUsers:
    known = KnownUsers()

    @contextmanager
    def opened(_: Any) -> Iterator[KnownUsers]:
        yield known

    monkeypatch.setattr(taking, "made_store", opened)
    return known


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder of two sets, of which one is damaged."""
    (tmp_path / "settings.json").write_text("{}")
    sets = tmp_path / "serving" / "versions"
    for name, time in (("old", DAY_MS), ("new", 2 * DAY_MS)):
        (sets / name).mkdir(parents=True)
        events = pl.DataFrame({"user_id": ["ann", "eve"], "timestamp": [time, 9 * DAY_MS]})
        events.write_parquet(sets / name / "events.parquet")
    (sets / "broken").mkdir()
    (sets / "broken" / "events.parquet").write_bytes(b"damaged")
    return tmp_path


@pytest.mark.parametrize("written", ["ann", "ann ", "ann\r"])
def test_an_id_means_what_it_means_over_http(store: KnownUsers, data: Path, written: str) -> None:
    result = call("forget", written, "--data-dir", data)
    assert result.exit_code == 0, result.exception
    assert store.forgotten == [("ann", 2 * DAY_MS)]  # nothing that a set knows is after the mark
    assert "given events deleted: 3" in result.stdout


@pytest.mark.parametrize("written", ["", "  ", "a\x07b", "..", "x" * 201])
def test_what_is_no_id_is_refused(store: KnownUsers, data: Path, written: str) -> None:
    for command in (
        ["forget", written],
        ["similar", written],
        ["feed", "popular", "--user", written],
        ["feed", "bought-together", "--item", written],
    ):
        said = str(call(*command, "--data-dir", data).exception)
        assert said.startswith(("the id: ", "--user: ", "--item: ")), said
    assert store.forgotten == []


def test_a_mistyped_folder_is_no_shop(store: KnownUsers, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "mistyped"):
        for whom in (["ann"], []):
            said = str(call("forget", *whom, "--data-dir", folder).exception)
            assert said.startswith(f"{folder} is no data folder")
    backup = tmp_path / "given.jsonl"
    backup.write_text("kept")
    result = call("export", backup, "--data-dir", tmp_path / "mistyped")
    assert isinstance(result.exception, FileNotFoundError)
    assert str(tmp_path / "mistyped") in str(result.exception)
    assert backup.read_text() == "kept"
    assert store.forgotten == []
    assert [path.name for path in tmp_path.iterdir()] == ["given.jsonl"]


def test_no_set_knows_a_stranger(data: Path) -> None:
    assert last_in_sets(data / "serving", "bob") == 0
    assert last_in_sets(data / "nowhere", "ann") == 0
