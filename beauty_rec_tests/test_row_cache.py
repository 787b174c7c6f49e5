import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from beauty_rec.row_cache import (
    KEEP_UNUSED,
    Places,
    ReusedRows,
    content_keys,
    maker_of,
    reuse_rows,
)
from beauty_rec.vector_cache import reuse_vectors
from beauty_rec_tests.harm import HARMS, ODD_JSON


class Lengths:
    """Computes the length of words, and counts what it was asked for."""

    def __init__(self, words: list[str]) -> None:
        self.words, self.asked = words, []  # type: ignore[var-annotated]

    def vectors(self, chunks: Iterable[list[int]]) -> Iterator[np.ndarray]:
        for rows in chunks:
            self.asked += [self.words[row] for row in rows]
            lengths = [[len(self.words[row]), 1] for row in rows]
            yield np.array(lengths, np.float32).reshape(-1, 2)

    def rows(self, rows: list[int]) -> pl.DataFrame:
        self.asked += [self.words[row] for row in rows]
        words = [self.words[row] for row in rows]
        return pl.DataFrame(
            {"size": [len(w) for w in words], "letters": [sorted(w) for w in words]},
            schema={"size": pl.Int64, "letters": pl.List(pl.String)},
        )


def vectors(folder: Path, words: list[str], maker: str = "a") -> tuple[list[float], list[str]]:
    lengths = Lengths(words)
    found, computed = reuse_vectors(folder, maker, content_keys(words), lengths.vectors)
    assert computed == len(lengths.asked)
    return found[:, 0].tolist(), lengths.asked


def rows(
    folder: Path, name: str, words: list[str], maker: str = "a", keep: pl.Expr | None = None
) -> tuple[list[int], list[str]]:
    lengths = Lengths(words)
    keys = pl.Series(content_keys(words), dtype=pl.String)
    found, computed = reuse_rows(folder, name, maker, keys, lengths.rows, keep)
    assert computed == len(lengths.asked)
    assert found.columns == ["size", "letters"]
    assert found["letters"].list.len().to_list() == found["size"].to_list()
    return found["size"].to_list(), lengths.asked


def test_only_new_and_changed_vectors_are_computed(tmp_path: Path) -> None:
    cache = tmp_path / "vectors"
    assert vectors(cache, ["one", "three"]) == ([3, 5], ["one", "three"])
    assert vectors(cache, ["three", "seven!", "one"]) == ([5, 6, 3], ["seven!"])
    assert vectors(cache, ["three"]) == ([5], [])
    assert vectors(cache, []) == ([], [])
    assert vectors(cache, ["one"]) == ([3], ["one"])  # what went is forgotten


def test_a_killed_computation_goes_on_with_the_same_chunks(tmp_path: Path) -> None:
    words = ["one", "three", "seven!", "of", "eleven letters"]
    cache, keys = tmp_path / "vectors", content_keys(words)
    reuse_vectors(cache, "a", keys[:1], Lengths(words).vectors)

    def killed(chunks: Iterable[list[int]]) -> Iterator[np.ndarray]:
        yield from Lengths(words).vectors([next(iter(chunks))])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reuse_vectors(cache, "a", keys, killed, chunk=2)
    assert len(np.load(cache / "vectors.npy")) == 1  # what stood there stands
    asked: list[list[int]] = []

    def noted(chunks: Iterable[list[int]]) -> Iterator[np.ndarray]:
        for rows in chunks:
            asked.append(rows)
            yield from Lengths(words).vectors([rows])

    found, computed = reuse_vectors(cache, "a", keys, noted, chunk=2)
    assert (asked, computed) == ([[3, 4]], 2)
    assert found[:, 0].tolist() == [3, 5, 6, 2, 14]
    assert [path.name for path in tmp_path.iterdir()] == ["vectors"]


def test_another_maker_computes_all(tmp_path: Path) -> None:
    cache = tmp_path / "vectors"
    vectors(cache, ["one", "two"], "a")
    assert vectors(cache, ["one", "two"], "b")[1] == ["one", "two"]
    rows(tmp_path / "rows", "x", ["one"], "a")
    assert rows(tmp_path / "rows", "x", ["one"], "b")[1] == ["one"]


def test_rows_follow_when_they_move_between_parts(tmp_path: Path) -> None:
    rows(tmp_path, "train", ["a", "bb"])
    rows(tmp_path, "test", ["ccc", "dddd"])
    assert rows(tmp_path, "train", ["a", "bb", "ccc"]) == ([1, 2, 3], [])
    assert rows(tmp_path, "test", ["dddd", "eeeee"]) == ([4, 5], ["eeeee"])
    # And the other way, though the part that they leave is written first.
    rows(tmp_path, "train", ["a"])
    assert rows(tmp_path, "test", ["bb", "ccc", "dddd"]) == ([2, 3, 4], [])


def test_a_part_that_is_written_meanwhile_is_read_as_it_was(tmp_path: Path) -> None:
    rows(tmp_path, "test", ["a", "bb"])
    lengths = Lengths(["bb"])
    keys = pl.Series(content_keys(["bb"]))
    with ReusedRows(tmp_path, "train", "a") as reused:
        rows(tmp_path, "test", ["ccc"])  # which another process may do
        assert reused.rows(keys, lengths.rows)["size"].to_list() == [2]
    assert lengths.asked == []
    assert rows(tmp_path, "valid", ["ccc", "bb"]) == ([3, 2], [])


def test_unused_rows_are_dropped_in_the_end(tmp_path: Path) -> None:
    rows(tmp_path, "train", ["a", "bb"])
    for _ in range(KEEP_UNUSED + 1):
        rows(tmp_path, "train", ["a"])
    assert rows(tmp_path, "train", ["a", "bb"])[1] == ["bb"]


def test_repeated_and_no_rows(tmp_path: Path) -> None:
    assert rows(tmp_path, "x", [])[0] == []
    assert rows(tmp_path, "x", ["a", "a"])[0] == [1, 1]
    assert rows(tmp_path, "x", ["a", "bb", "a"]) == ([1, 2, 1], ["bb"])


def test_what_is_not_worth_keeping_is_computed_again(tmp_path: Path) -> None:
    keep = pl.col("size") > 1
    rows(tmp_path, "x", ["a", "bb"], keep=keep)
    assert rows(tmp_path, "x", ["a", "bb"], keep=keep) == ([1, 2], ["a"])


def test_makers_and_keys_differ_where_their_parts_do() -> None:
    assert maker_of("ab", "c") != maker_of("a", "bc")
    assert len(set(content_keys([("a", None), ("a", ""), ("", "a"), "a"]))) == 4


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("file", ["vectors/keys.json", "vectors/vectors.npy", "rows/train.parquet"])
def test_what_is_damaged_is_dropped_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str, harm: str
) -> None:
    words = ["one", "three", "seven!"]
    for _ in range(2):
        assert vectors(tmp_path / "vectors", words)[0] == [3, 5, 6]
        assert rows(tmp_path / "rows", "train", words)[0] == [3, 5, 6]
    HARMS[harm](tmp_path / file)
    with caplog.at_level(logging.WARNING):
        again = [vectors(tmp_path / "vectors", words), rows(tmp_path / "rows", "train", words)]
    assert [found for found, _ in again] == [[3, 5, 6], [3, 5, 6]]
    assert sorted(computed for _, computed in again) == [[], words]
    if file != "rows/train.parquet" or harm != "deleted":  # of which nothing is left to name
        assert str(tmp_path / file.split("/")[0]) in caplog.text
    assert vectors(tmp_path / "vectors", words)[1] == []
    assert rows(tmp_path / "rows", "train", words)[1] == []


@pytest.mark.parametrize("text", ODD_JSON)
def test_vectors_whose_keys_are_of_another_shape_are_computed_anew(
    tmp_path: Path, text: str
) -> None:
    assert vectors(tmp_path, ["one"]) == ([3], ["one"])
    (tmp_path / "keys.json").write_text(text)
    assert vectors(tmp_path, ["one"]) == ([3], ["one"])


def test_batches_find_what_batches_before_them_computed(tmp_path: Path) -> None:
    def read(batches: list[list[str]]) -> tuple[list[list[int]], list[str]]:
        found, asked = [], []
        with ReusedRows(tmp_path, "train", "a") as reused:
            for words in batches:
                lengths = Lengths(words)
                keys = pl.Series(content_keys(words), dtype=pl.String)
                found.append(reused.rows(keys, lengths.rows)["size"].to_list())
                asked += lengths.asked
        assert reused.computed == len(asked)
        return found, asked

    assert read([["one", "three"], ["three", "seven!"]]) == (
        [[3, 5], [5, 6]],
        ["one", "three", "seven!"],
    )
    assert read([["seven!"], ["one", "new"]]) == ([[6], [3, 3]], ["new"])
    assert read([["three"]]) == ([[5]], [])  # not asked for last time, and kept
    names = [path.name for path in sorted(tmp_path.iterdir())]
    assert names == ["rows.lock", "train.parquet", "train.sum"]


def test_places_are_those_of_a_dictionary() -> None:
    draw = np.random.default_rng(1)
    schema = {"reuse_key": pl.String, "reuse_file": pl.UInt32, "reuse_row": pl.UInt32}
    wanted: dict[str, tuple[int, int]] = {}
    places = Places()
    for file in range(40):
        keys = [f"{key:03x}" for key in draw.choice(4_000, draw.integers(60), replace=False)]
        rows = range(len(keys))
        columns = {"reuse_key": keys, "reuse_file": [file] * len(keys), "reuse_row": rows}
        places.add(pl.DataFrame(columns, schema=schema))
        wanted |= {key: (file, row) for key, row in zip(keys, rows, strict=True)}
        asked = [f"{key:03x}" for key in draw.integers(4_000, size=50)]
        found = places.of(pl.Series(asked, dtype=pl.String))
        assert found["reuse_key"].to_list() == asked
        expected = [wanted.get(key, (None, None)) for key in asked]
        assert list(zip(found["reuse_file"], found["reuse_row"], strict=True)) == expected
    assert places.of(pl.Series([], dtype=pl.String)).height == 0


def test_a_reading_that_fails_leaves_what_was_kept(tmp_path: Path) -> None:
    rows(tmp_path, "train", ["one"])
    before = (tmp_path / "train.parquet").read_bytes()

    def read_and_fail() -> None:
        with ReusedRows(tmp_path, "train", "a") as reused:
            reused.rows(pl.Series(content_keys(["three"])), Lengths(["three"]).rows)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read_and_fail()
    assert (tmp_path / "train.parquet").read_bytes() == before
    assert rows(tmp_path, "train", ["one"]) == ([3], [])
