"""Who is forgotten: by hash, until they come back."""

import json
from pathlib import Path

import polars as pl
import pytest

from beauty_rec.corpus.forgotten import Forgotten, Mark, digest_of
from beauty_rec.corpus.forgotten_record import read_record, record
from beauty_rec.corpus.hidden import read_hidden
from beauty_rec.corpus.intake.refusals import excerpt_of
from beauty_rec.corpus.schema import QUARANTINE_SCHEMA
from beauty_rec_tests.corpus.rows import review
from beauty_rec_tests.harm import ODD_JSON

MARKS = [Mark(b"one", digest_of(b"one", "ann"), 50), Mark(b"two", digest_of(b"two", "bob"), 70)]


def test_rows_of_the_forgotten_are_left_out_until_they_come_back() -> None:
    forgotten = Forgotten.of(MARKS)
    frame = pl.DataFrame({"user_id": ["ann", "eve", "bob", "ann"], "timestamp": [50, 50, 71, 51]})
    left = forgotten.left(frame, time="timestamp")
    assert left.rows() == [("eve", 50), ("bob", 71), ("ann", 51)]
    assert [forgotten.allows(user, at) for user, at in frame.rows()] == [False, True, True, True]
    # Of a file rows may be dated ahead of the clock.
    late = forgotten.left(frame, time="timestamp", slack_ms=1)
    assert late.rows() == [("eve", 50)]
    assert forgotten.counts(frame["user_id"]) == {
        MARKS[0].digest.hex(): 2,
        MARKS[1].digest.hex(): 1,
    }
    assert Forgotten().left(frame, time="timestamp") is frame


@pytest.mark.parametrize("said", [["2024-05-01"] * 2, [4e12] * 2, [None, 1]])
def test_a_profile_goes_whatever_it_says(said: list[object]) -> None:
    """Also one with a column of the name that events have their time in."""
    profiles = pl.DataFrame({"user_id": ["ann", "eve"], "timestamp": said}, strict=False)
    assert Forgotten.of(MARKS).left(profiles, time=None)["user_id"].to_list() == ["eve"]


def test_marks_survive_a_file_that_names_nobody(tmp_path: Path) -> None:
    path = tmp_path / "forgotten.json"
    path.write_text(Forgotten.of(MARKS).dump())
    assert "ann" not in path.read_text()
    again = Forgotten.load(path)
    assert (again.at("ann"), again.at("bob"), again.at("eve"), len(again)) == (50, 70, None, 2)
    assert not len(Forgotten.load(tmp_path / "none"))


def refused_rows(said: list[str]) -> pl.DataFrame:
    count = len(said)
    return pl.DataFrame(
        {
            "file": ["f"] * count,
            "line": list(range(count)),
            "reason": ["rating: missing"] * count,
            "excerpt": said,
        },
        schema=QUARANTINE_SCHEMA,
    )


def test_refused_rows_keep_their_reason_and_lose_their_words() -> None:
    said = ['{"user_id": "ann", "text": "my words"}', '{"user_id":"eve"}', "no JSON of ann"]
    refused = refused_rows(said)
    left = Forgotten.of(MARKS).without_excerpts(refused)
    assert left["excerpt"].to_list() == ["", said[1], ""]
    assert left["reason"].to_list() == refused["reason"].to_list()
    assert Forgotten().without_excerpts(refused) is refused
    for few in (refused.head(0), refused.head(1), refused.slice(1, 1)):
        left = Forgotten.of(MARKS).without_excerpts(few)
        assert left["excerpt"].to_list() == [
            "" if "ann" in each else each for each in few["excerpt"]
        ]


def test_an_id_is_found_however_it_is_written() -> None:
    users = ["josé", 'a "b" c', "a\\b", "x/y"]
    forgotten = Forgotten.of(Mark(b"one", digest_of(b"one", user), 50) for user in users)
    said = [json.dumps({"text": 'so "soft"', "user_id": user}) for user in users]
    said += ['{"user_id": "x\\/y"}', r'{"text": "5" tall", "user_id": "jos\u00e9"}']
    assert forgotten.without_excerpts(refused_rows(said))["excerpt"].to_list() == [""] * 6
    others = [json.dumps({"user_id": "jose", "text": "é"}), r"jos\u00e9e \ \ud83d", "{}", ""]
    assert forgotten.without_excerpts(refused_rows(others))["excerpt"].to_list() == others


def test_whose_an_excerpt_is_that_was_cut_cannot_be_said() -> None:
    """In a native row the user stands behind the text."""
    line = json.dumps(review(text="my words " * 80, user_id="ann", rating=9)).encode()
    cut, latin = excerpt_of(line), excerpt_of(b'{"user_id": "jos\xe9", "text": "words"}')
    assert "ann" not in cut
    refused = refused_rows([cut, latin, '{"user_id":"eve"}'])
    left = Forgotten.of(MARKS).without_excerpts(refused)
    assert left["excerpt"].to_list() == ["", "", '{"user_id":"eve"}']


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


@pytest.mark.parametrize("text", [*ODD_JSON[1:], '[{"salt": "x"}]', '[{"salt": 1}]'])
def test_a_damaged_list_is_named_and_forgets_nobody_silently(tmp_path: Path, text: str) -> None:
    path = tmp_path / "forgotten.json"
    path.write_text(Forgotten.of(MARKS).dump())
    assert Forgotten.load(path) == Forgotten.of(MARKS)
    path.write_text(text)
    with pytest.raises(ValueError, match=r"forgotten\.json is damaged .* run again"):
        Forgotten.load(path)
