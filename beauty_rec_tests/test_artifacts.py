"""Atomic writes, content hashes, vectors, and paths that are no patterns."""

import json
import os
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

from beauty_rec.artifacts import (
    Vectors,
    atomic_path,
    content_hash,
    sweep_drafts,
    text_hash,
    write_rows,
    write_text_atomic,
)
from beauty_rec.verified import Verified


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text_atomic(target, "old")

    def fail() -> None:
        with atomic_path(target) as draft:
            draft.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for name in ("one", "two"):
        with atomic_path(target) as draft:
            draft.mkdir()
            (draft / name).touch()
    assert [p.name for p in target.iterdir()] == ["two"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("damage", ["file", "link", "folder"])
@pytest.mark.parametrize("made", ["file", "folder"])
def test_what_stands_in_the_way_is_replaced_whatever_it_is(
    tmp_path: Path, damage: str, made: str
) -> None:
    target = tmp_path / "model"
    if damage == "file":
        target.write_text("junk")
    elif damage == "link":
        target.symlink_to(tmp_path / "nowhere")
    else:
        (target / "below").mkdir(parents=True)
    with atomic_path(target) as draft:
        if made == "file":
            draft.write_text("new")
        else:
            (_made(draft) / "weights").touch()
    assert target.is_file() if made == "file" else [p.name for p in target.iterdir()] == ["weights"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_the_hash_follows_content_and_names_not_time(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / "x").write_text("content")
    (second / ".hidden").write_text("does not count")
    assert content_hash(first) == content_hash(second)
    (second / "sub" / "x").rename(second / "sub" / "y")
    assert content_hash(first) != content_hash(second)


def test_a_pipe_in_the_place_of_a_file_is_waited_for_by_nobody(tmp_path: Path) -> None:
    pipe = tmp_path / "vocabulary.json"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="is no file"):
        content_hash(pipe)


def test_a_text_has_the_hash_of_a_file_that_holds_it(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("zwölf\n", encoding="utf-8")
    assert text_hash("zwölf\n") == content_hash(tmp_path / "text")


def test_vectors_come_back_as_they_went(tmp_path: Path) -> None:
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    Vectors(["b", "a"], matrix).save(tmp_path / "v")
    loaded = Vectors.load(tmp_path / "v")
    assert loaded.ids == ["b", "a"]
    np.testing.assert_array_equal(loaded.matrix, matrix)
    with pytest.raises(ValueError, match="shape"):
        Vectors(["a"], matrix)


def test_no_path_is_taken_for_a_pattern(tmp_path: Path) -> None:
    """Polars looks for "*", "?" and "[" in a path unless it is not to."""
    reads = re.compile(r"pl\.(?:read|scan)_(?:parquet|csv|ndjson|ipc)\((?:[^()]|\([^()]*\))*\)")
    package = Path(__file__).parents[1] / "beauty_rec"
    calls = [
        call for path in sorted(package.rglob("*.py")) for call in reads.findall(path.read_text())
    ]
    assert len(calls) > 15
    assert [call for call in calls if "glob=False" not in call] == []
    for name in ("a1", "a[1]", "axb", "a*b"):
        Vectors([name], np.zeros((1, 2), np.float32)).save(tmp_path / name)
    assert Vectors.load(tmp_path / "a[1]").ids == ["a[1]"]
    assert Vectors.load(tmp_path / "a*b").ids == ["a*b"]


def test_what_a_killed_write_left_is_swept_and_a_folder_put_back(tmp_path: Path) -> None:
    dead = 2**22 + 1  # no Linux process has this number
    for name in (f".a.{dead}.draft.parquet", f".mode.{dead}.draft"):
        (tmp_path / name).touch()
    for name in (f".model.{dead}.old", f".table.{dead}.old", "table"):
        (tmp_path / name).mkdir()
    (tmp_path / ".a.1.draft.parquet").touch()  # of a living process
    assert len(sweep_drafts(tmp_path)) == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == [".a.1.draft.parquet", "model", "table"]


def test_every_file_has_the_mode_of_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    with atomic_path(tmp_path / "model") as draft:
        save_file({"weights": np.zeros(2, np.float32)}, _made(draft) / "model.safetensors")
    written = tmp_path / "model" / "model.safetensors"
    assert written.stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_hash_is_read_again_only_when_a_file_was_touched(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    verified = Verified.below(tmp_path)
    before = verified.content_hash(path)
    assert before == content_hash(path)
    assert Verified.below(tmp_path).content_hash(path) == before
    times = path.stat().st_mtime_ns
    path.write_bytes(b"two")
    os.utime(path, ns=(times, times))  # as a copy does that keeps times
    assert Verified.below(tmp_path).content_hash(path) == content_hash(path) != before
    kept = tmp_path / "cache" / "verified.json"
    odd: list[dict[str, Any]] = [{str(path): []}, {str(path): 5}, {"x" * 5_000: "y"}]
    for damaged in ("[torn", "[" * 100_000, *map(json.dumps, odd)):
        kept.write_text(damaged)
        path.touch()
        assert Verified.below(tmp_path).content_hash(path) == content_hash(path)


def test_vectors_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    Vectors(["a"], np.array([[1, np.inf]], np.float32)).save(tmp_path)
    with pytest.raises(ValueError, match=r"vectors\.npy holds NaN or infinity"):
        Vectors.load(tmp_path)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.parametrize("pieces", [90, 700, pytest.param(40_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("compression", ["zstd", pytest.param("lz4", marks=pytest.mark.slow)])
def test_rows_have_the_same_bytes_in_however_many_pieces_they_were_made(
    tmp_path: Path, pieces: int, compression: Literal["zstd", "lz4"]
) -> None:
    numbers = range(150_000)
    whole = pl.DataFrame({"item": [f"B{n % 977}" for n in numbers], "said": [[n] for n in numbers]})
    parts = [whole[start : start + pieces] for start in range(0, whole.height, pieces)]
    for name, rows in (("whole", whole), ("pieced", pl.concat(parts, rechunk=False))):
        write_rows(rows, tmp_path / name, compression)
        assert pl.read_parquet(tmp_path / name).equals(whole)
    assert content_hash(tmp_path / "whole") == content_hash(tmp_path / "pieced")
