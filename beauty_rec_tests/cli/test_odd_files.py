"""What people name where a file is meant: folders, devices, links, other encodings, damage."""

import errno
import io
import json
import os
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from beauty_rec.cli import app, commands, load_settings
from beauty_rec.cli.terminal import say, write_any_text
from beauty_rec.corpus.forgotten_record import RECORD, read_record
from beauty_rec.corpus.hidden import read_hidden
from beauty_rec.items.domain import load_domain
from beauty_rec.recommender.online.experiments.file import parse_experiment
from beauty_rec.serving.state import transfer
from beauty_rec.serving.state.rules import read_rules
from beauty_rec.settings import Settings

LINE = '{"item": {"parent_asin": "B1"}}'


def call(*arguments: object) -> str:
    """Run a command; return what it fails with, or prints."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    return str(result.exception) if result.exception else result.output


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "export_given", lambda _: iter([LINE]))


@pytest.mark.usefixtures("exported")
def test_an_export_replaces_files_alone(tmp_path: Path) -> None:
    folder, kept, link = tmp_path / "backups", tmp_path / "backups" / "old", tmp_path / "link"
    folder.mkdir()
    kept.write_text("kept")
    assert "is a folder; name the file" in call("export", folder, "--data-dir", tmp_path)
    assert kept.read_text() == "kept"
    link.symlink_to(kept)
    call("export", link, "--data-dir", tmp_path)
    assert link.is_symlink()
    assert kept.read_text() == f"{LINE}\n"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    call("export", pipe, "--data-dir", tmp_path)
    assert os.read(reading, 100).decode() == f"{LINE}\n"
    assert pipe.is_fifo()
    os.close(reading)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"\xff\xfe{\x00", "not UTF-8"),
        (b"\x1f\x8b\x08\x00", "not UTF-8"),
        (b"user_id,parent_asin\n", "line 1"),
        (f"\ufeff{LINE}\r\n".encode(), "line 1: item.title"),
    ],
)
def test_an_import_names_its_file(tmp_path: Path, content: bytes, fault: str) -> None:
    file = tmp_path / "given.jsonl"
    file.write_bytes(content)
    said = call("import", file, "--data-dir", tmp_path)
    assert said.startswith(f"{file}: {fault}")
    assert "\n" not in said


def test_files_of_another_kind_are_named(tmp_path: Path) -> None:
    file = tmp_path / RECORD
    for read in (read_hidden, lambda path: load_domain(str(path))):
        file.write_bytes("é".encode("latin-1"))
        with pytest.raises(ValueError, match=RECORD):
            read(file)
    for content in (b"", b"[]", b'{"a": 1}', b"\xff", b"[" * 100_000):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=f"{RECORD} is no record.*run again"):
            read_record(tmp_path)


@pytest.mark.parametrize(
    "report",
    [
        b"\xff", b"{}", b"[]", b"[" * 100_000, b'{"dataset": {}}',
        b'{"dataset":{"reviews":"x"},"retrieval":{},"recommendation":{},"reranker":{},"indexes":{}}',
        b'{"dataset":{},"retrieval":{"a":5},"recommendation":{},"reranker":{},"indexes":{}}',
    ],
)  # fmt: skip
def test_a_damaged_report_is_named(tmp_path: Path, report: bytes) -> None:
    path = tmp_path / "evaluation" / "report.json"
    path.parent.mkdir()
    path.write_bytes(report)
    said = call("report", "--data-dir", tmp_path)
    assert said.startswith(str(path))
    assert "run again" in said or "`beauty-rec run` again" in said


def test_a_path_means_the_same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BEAUTY_REC_REVIEWS", "reviews.jsonl")
    pairs = ["items=~/meta.jsonl", "storage.url=~/store", "attributes.domain=own.toml"]
    found = load_settings(Path("~/shop"), pairs)
    assert found.data_dir == tmp_path / "shop"
    assert found.reviews == tmp_path / "reviews.jsonl"
    assert found.items == tmp_path / "meta.jsonl"
    assert found.storage.url == str(tmp_path / "store")
    assert found.attributes.domain == str(tmp_path / "own.toml")
    assert Settings(storage={"url": "s3://bucket/~shop"}).storage.url == "s3://bucket/~shop"
    with pytest.raises(ValueError, match=r"~nobody-here.*Write the folder out"):
        load_settings(Path("~nobody-here/shop"))


def test_a_mark_at_the_beginning_of_a_toml_file_is_no_fault(tmp_path: Path) -> None:
    """As Windows' Notepad writes one."""
    path = tmp_path / "own.toml"
    rule = '[[rules]]\nname = "first"\ndo = "pin"\nplace = 1\nitems = ["B1"]\n'
    path.write_text(rule, encoding="utf-8-sig")
    text, [found] = read_rules(path)
    assert (text, found.name) == (rule, "first")
    variants = "[variants.a]\nshare = 0.5\n[variants.b]\nshare = 0.5\ndiversity = 0.4\n"
    path.write_text(f'name = "bold"\n{variants}', encoding="utf-8-sig")
    assert parse_experiment(path.read_text(encoding="utf-8"), str(path)).name == "bold"
    shipped = files("beauty_rec.items") / "domains" / "beauty.toml"
    path.write_text(shipped.read_text("utf-8"), encoding="utf-8-sig")
    assert load_domain(str(path)) == load_domain("beauty")


def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for command in (["doctor"], ["search", "soap"], ["report"], ["run", "--dry-run"]):
        assert "file is no folder; name another" in call(*command, "--data-dir", tmp_path / "file")


def test_texts_of_another_encoding_are_refused(tmp_path: Path) -> None:
    word = os.fsdecode(b"caf\xe9")
    for command in (["search", word], ["similar", word], ["feed", "popular", "--context", word]):
        assert "is not in UTF-8" in call(*command, "--data-dir", tmp_path)


def test_what_the_system_refuses_has_a_remedy() -> None:
    said = commands._said(IsADirectoryError(errno.EISDIR, "Is a directory", "/shop"))
    assert said == "/shop: Is a directory; name a file"
    assert commands._said(OSError("plain words")) == "plain words"


def test_a_kept_setting_says_where_it_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"serve": {"port": "x", "colour": "red"}}))
    with pytest.raises(ValueError, match=r"serve\.port") as refused:
        load_settings(tmp_path)
    assert str(refused.value).count(f"(kept in {path}") == 2
    with pytest.raises(ValueError, match=r"serve\.port: [^;]*\(given: 'y'\);"):
        load_settings(tmp_path, ["serve.port=y"])
    path.unlink()
    path.mkdir()
    with pytest.raises(ValueError, match=r"settings\.json is no file; move it away"):
        load_settings(tmp_path)


def test_a_terminal_of_another_encoding_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, Any] = {}
    for name in ("stdout", "stderr"):
        written[name] = io.BytesIO()
        monkeypatch.setattr(sys, name, io.TextIOWrapper(written[name], encoding="latin-1"))
    write_any_text()
    say("384 × 12, “rosé” 🧴 \udce9")
    say("×", err=True)
    for name in ("stdout", "stderr"):
        getattr(sys, name).flush()
    said = b"384 \xd7 12, \\u201cros\xe9\\u201d \\U0001f9f4 \\udce9\n"
    assert written["stdout"].getvalue() == said
    assert written["stderr"].getvalue() == b"\xd7\n"
    monkeypatch.setattr(sys, "stdout", None)
    write_any_text()  # that nobody reads
