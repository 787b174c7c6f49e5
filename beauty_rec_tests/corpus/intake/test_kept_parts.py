"""A file that has grown is read where it grew, and gives what a first reading gives."""

import gzip
import json
from pathlib import Path

import pytest

from beauty_rec.corpus.forgotten import Forgotten, Mark, digest_of
from beauty_rec.corpus.intake import blocks
from beauty_rec.corpus.intake import ingest as intake
from beauty_rec.corpus.intake.ingest import Intake, ingest_reviews
from beauty_rec.corpus.intake.kept_parts import KeptParts
from beauty_rec.settings import CorpusSettings
from beauty_rec_tests.corpus.rows import NOW_MS, review
from beauty_rec_tests.harm import HARMS, ODD_JSON

DAY = 86_400_000
LINES = [
    json.dumps(review(user_id=f"U{n % 7}", parent_asin=f"B{n}", timestamp=NOW_MS - (n % 50) * DAY))
    for n in range(240)
]
LINES[17] = '{"rating": 9}'
LINES[40] = LINES[39]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 8_000)
    monkeypatch.setattr(intake, "_SMALL_FILE_BYTES", 0)


def write(path: Path, lines: list[str]) -> Path:
    text = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def read(
    source: Path, folder: Path, kept: KeptParts | None = None, now_ms: int = NOW_MS
) -> tuple[Intake, bytes, bytes]:
    target, refused = folder / "r.parquet", folder / "q.parquet"
    folder.mkdir(exist_ok=True)
    found = ingest_reviews(source, target, refused, CorpusSettings(workers=0), now_ms, kept)
    return found, target.read_bytes(), refused.read_bytes()


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_only_what_a_file_grew_by_is_read(tmp_path: Path, name: str) -> None:
    cache = tmp_path / "cache"
    first = KeptParts(cache, "a")
    read(write(tmp_path / name, LINES[:200]), tmp_path / "out", first)
    assert first.reused == 0
    assert first.converted > 5
    source = write(tmp_path / name, LINES)
    second = KeptParts(cache, "a")
    grown = read(source, tmp_path / "out", second)
    assert second.reused == first.converted - 1  # the last block was cut by the file's end
    assert 1 <= second.converted <= 3
    assert grown == read(source, tmp_path / "anew")
    third = KeptParts(cache, "a")
    assert read(source, tmp_path / "out", third) == grown
    assert third.converted == 0


def test_other_code_reads_all_and_what_went_is_removed(tmp_path: Path) -> None:
    source, cache = write(tmp_path / "r.jsonl", LINES), tmp_path / "cache"
    before = KeptParts(cache, "a")
    read(source, tmp_path / "out", before)
    files = {path.name for path in cache.iterdir()}
    after = KeptParts(cache, "b")
    read(source, tmp_path / "out", after)
    assert (after.reused, after.converted) == (0, before.converted)
    assert not files & {path.name for path in cache.iterdir()}


def test_a_row_of_tomorrow_is_looked_at_again_when_its_day_has_come(tmp_path: Path) -> None:
    """Until then its block is taken over; a row of the year 2100 costs no reading at all."""
    ahead = [json.dumps(review(timestamp=at)) for at in (NOW_MS + 3 * DAY, 4_102_444_800_000)]
    lines = ["\ufeff" + ahead[0], *LINES, ahead[1]]
    source, cache = write(tmp_path / "r.jsonl", lines), tmp_path / "cache"
    refused, *_ = whole = read(source, tmp_path / "out", KeptParts(cache, "a"))
    assert refused.refused["timestamp: in the future"] == 2
    for days, converted in ((1, 0), (2, 1), (5, 0)):  # a timestamp may lie a day ahead
        kept, now = KeptParts(cache, "a"), NOW_MS + days * DAY
        found = read(source, tmp_path / "out", kept, now)
        assert kept.converted == converted
        assert found == read(source, tmp_path / "anew", now_ms=now)
        assert found[0].kept == refused.kept + (days > 1)
        assert days > 1 or found == whole


def test_nothing_is_kept_of_who_is_forgotten(tmp_path: Path) -> None:
    bad = '{"rating": 9, "user_id": "U-refused"}'
    source, cache = write(tmp_path / "r.jsonl", [*LINES[:200], bad, *LINES]), tmp_path / "cache"
    lonely = json.dumps(review(user_id="U-lonely", timestamp=NOW_MS - DAY))
    source.write_text(lonely + "\n" + source.read_text())
    whole = read(source, tmp_path / "out", KeptParts(cache, "a"))
    held = lambda: b"".join(path.read_bytes() for path in cache.iterdir())  # noqa: E731
    blocks_of = len(list(cache.glob("*.json")))
    assert b"U-lonely" in held()
    assert b"U-refused" in held()
    marks = [Mark(b"salt", digest_of(b"salt", user), NOW_MS) for user in ("U-lonely", "U-refused")]
    for converted in (2, 1):  # what a refused row says can be left out of its block
        kept = KeptParts(cache, "a", Forgotten.of(marks))
        found = read(source, tmp_path / "out", kept)
        assert found[:2] == whole[:2]  # the asset drops the rows
        assert b"U-refused" not in found[2]
        assert (kept.reused, kept.converted) == (blocks_of - converted, converted)
        assert b"U-lonely" not in held()
        assert b"U-refused" not in held()


def test_a_row_dated_ahead_of_the_clock_is_not_kept_of_who_is_forgotten(tmp_path: Path) -> None:
    ahead = [json.dumps(review(user_id="U-ahead", timestamp=NOW_MS + DAY // 2))]
    source, cache = write(tmp_path / "r.jsonl", [*LINES[:100], *ahead]), tmp_path / "cache"
    marks = [Mark(b"salt", digest_of(b"salt", "U-ahead"), NOW_MS)]
    for forgotten in (Forgotten(), Forgotten.of(marks)):
        read(source, tmp_path / "out", KeptParts(cache, "a", forgotten))
        held = b"".join(path.read_bytes() for path in cache.iterdir())
        assert (b"U-ahead" in held) is (not len(forgotten))


@pytest.mark.parametrize("text", ODD_JSON)
def test_a_block_with_a_note_of_another_shape_is_read_again(tmp_path: Path, text: str) -> None:
    source, cache = write(tmp_path / "r.jsonl", LINES), tmp_path / "cache"
    whole = read(source, tmp_path / "out", KeptParts(cache, "a"))
    next(cache.glob("*.json")).write_text(text)
    again = KeptParts(cache, "a")
    assert read(source, tmp_path / "out", again) == whole
    assert again.converted == 1


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("kind", ["part.parquet", "refused.parquet", "json"])
def test_a_damaged_block_is_read_again(tmp_path: Path, harm: str, kind: str) -> None:
    source, cache = write(tmp_path / "r.jsonl", LINES), tmp_path / "cache"
    whole = read(source, tmp_path / "out", KeptParts(cache, "a"))
    HARMS[harm](sorted(cache.glob(f"*.{kind}"))[0])
    again = KeptParts(cache, "a")
    assert read(source, tmp_path / "out", again) == whole
    assert again.converted == 1
