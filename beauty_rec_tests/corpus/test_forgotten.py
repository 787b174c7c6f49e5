"""Who is forgotten: by hash, until they come back."""

from pathlib import Path

import polars as pl

from beauty_rec.corpus.forgotten import Forgotten, Mark, digest_of
from beauty_rec.corpus.forgotten_record import read_record, record
from beauty_rec.corpus.hidden import read_hidden
from beauty_rec.corpus.schema import QUARANTINE_SCHEMA

MARKS = [Mark(b"one", digest_of(b"one", "ann"), 50), Mark(b"two", digest_of(b"two", "bob"), 70)]


def test_rows_of_the_forgotten_are_left_out_until_they_come_back() -> None:
    forgotten = Forgotten.of(MARKS)
    frame = pl.DataFrame({"user_id": ["ann", "eve", "bob", "ann"], "timestamp": [50, 50, 71, 51]})
    assert forgotten.left(frame).rows() == [("eve", 50), ("bob", 71), ("ann", 51)]
    assert forgotten.left(frame.drop("timestamp"))["user_id"].to_list() == ["eve"]
    assert forgotten.counts(frame["user_id"]) == {
        MARKS[0].digest.hex(): 2,
        MARKS[1].digest.hex(): 1,
    }
    assert Forgotten().left(frame) is frame


def test_marks_survive_a_file_that_names_nobody(tmp_path: Path) -> None:
    path = tmp_path / "forgotten.json"
    path.write_text(Forgotten.of(MARKS).dump())
    assert "ann" not in path.read_text()
    again = Forgotten.load(path)
    assert (again.at("ann"), again.at("bob"), again.at("eve"), len(again)) == (50, 70, None, 2)
    assert not len(Forgotten.load(tmp_path / "none"))


def test_refused_rows_keep_their_reason_and_lose_their_words() -> None:
    said = ['{"user_id": "ann", "text": "my words"}', '{"user_id":"eve"}', "no JSON of ann"]
    refused = pl.DataFrame(
        {"file": ["f"] * 3, "line": [1, 2, 3], "reason": ["rating: missing"] * 3, "excerpt": said},
        schema=QUARANTINE_SCHEMA,
    )
    left = Forgotten.of(MARKS).without_excerpts(refused)
    assert left["excerpt"].to_list() == ["", said[1], ""]
    assert left["reason"].to_list() == refused["reason"].to_list()


def test_the_record_says_what_was_dropped_and_keeps_the_first_time(tmp_path: Path) -> None:
    forgotten, digest = Forgotten.of(MARKS), MARKS[0].digest.hex()
    record(tmp_path, forgotten, "raw_reviews", {digest: 3})
    first = read_record(tmp_path)[digest]["dropped"]["raw_reviews"]["first"]
    record(tmp_path, forgotten, "raw_reviews", {digest: 2})
    found = read_record(tmp_path)
    assert found[digest]["dropped"]["raw_reviews"]["first"] == first
    assert found[digest]["dropped"]["raw_reviews"]["rows"] == 2
    assert found[MARKS[1].digest.hex()]["dropped"] == {}


def test_a_file_of_hidden_items_is_ids_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "hidden.txt"
    path.write_bytes(b"\xef\xbb\xbfB1\r\n\n  B2 \nB1")
    assert read_hidden(path) == {"B1", "B2"}
    assert read_hidden(None) == frozenset()
