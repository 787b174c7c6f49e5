import json
import random
from collections import Counter

import polars as pl
import pytest

from beauty_rec.artifacts import content_hash
from beauty_rec.corpus.intake import blocks, merge
from beauty_rec.corpus.intake import ingest as intake
from beauty_rec.corpus.intake.check import check_file, describe, too_many_refused
from beauty_rec.corpus.intake.ingest import Intake, ingest_items, ingest_reviews
from beauty_rec.corpus.intake.rows import review_id
from beauty_rec.corpus.schema import ITEM_SCHEMA, QUARANTINE_SCHEMA, REVIEW_SCHEMA
from beauty_rec.settings import CorpusSettings
from beauty_rec_tests.corpus.rows import NOW_MS, item, review, write_lines


def read(tmp_path, rows, name="r.jsonl", **settings):
    source = write_lines(tmp_path / name, rows)
    target, quarantine = tmp_path / "out" / "r.parquet", tmp_path / "out" / "q.parquet"
    result = ingest_reviews(source, target, quarantine, CorpusSettings(**settings), NOW_MS)
    return result, pl.read_parquet(target), pl.read_parquet(quarantine)


def reason_for(tmp_path, row):
    result, kept, refused = read(tmp_path, [review(), row])
    assert (result.rows, len(kept), len(refused)) == (2, 1, 1)
    assert refused["line"].to_list() == [2]
    assert refused["file"].to_list() == ["r.jsonl"]
    assert result.refused == {refused["reason"][0]: 1}
    return refused["reason"][0]


def nested(levels):
    return [nested(levels - 1)] if levels else []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b'{"rating": 5.0, "ti', "line: not JSON"),
        (b'"text"', "line: not a JSON object"),
        (b'{"title": "\xff\xfe"}', "line: not UTF-8"),
        (b'{"title": "\\ud83d", "user_id": "U"}', "line: unpaired surrogate"),
        (b'{"title": "\\ud83d", "user_id": "U"', "line: not JSON"),
        (b"[" * 5000, "line: not JSON"),
        (review(user_id=None), "user_id: missing"),
        (review(user_id=" "), "user_id: empty"),
        (review(user_id=7), "user_id: not a string"),
        (review(user_id="a\x00b"), "user_id: control characters"),
        (review(parent_asin="a\x9bb"), "parent_asin: control characters"),
        (review(parent_asin="a/../b"), "parent_asin: a path segment . or .."),
        (review(parent_asin=""), "parent_asin: empty"),
        (review(parent_asin="B" * 300), "parent_asin: too long"),
        ({k: v for k, v in review().items() if k != "parent_asin"}, "parent_asin: missing"),
        (review(rating=0), "rating: not in 1..5"),
        (review(rating=5.5), "rating: not in 1..5"),
        (review(rating=float("nan")), "rating: missing"),
        (review(rating="5"), "rating: not a number"),
        (review(rating=True), "rating: not a number"),
        (review(rating=None), "rating: missing"),
        (review(timestamp=-5), "timestamp: negative"),
        (review(timestamp=1_600_000_000), "timestamp: in seconds, not milliseconds"),
        (review(timestamp=NOW_MS + 90_000_000), "timestamp: in the future"),
        (review(timestamp=10**30), "timestamp: in the future"),
        (review(timestamp="2020-01-01"), "timestamp: not an integer"),
        (review(timestamp=1.5e12 + 0.5), "timestamp: not an integer"),
        (review(timestamp=float("nan")), "timestamp: missing"),
        (review(timestamp=1_600_000_000.0), "timestamp: in seconds, not milliseconds"),
        (review(timestamp=1_600_000_000_000_000), "timestamp: in microseconds, not milliseconds"),
        (review(timestamp=1.6e18), "timestamp: in nanoseconds, not milliseconds"),
        (review(timestamp=True), "timestamp: not an integer"),
        (review(helpful_vote=1.5), "helpful_vote: not an integer"),
        (review(text=5), "text: not a string"),
        (review(title=["x"]), "title: not a string"),
        (review(helpful_vote=-1), "helpful_vote: negative"),
        (review(helpful_vote=10**12), "helpful_vote: too large"),
        (review(verified_purchase="yes"), "verified_purchase: not true or false"),
        (review(context=3), "context: not a string"),
        (review(more=nested(300)), "line: nested too deep, or a number too long"),
    ],
)
def test_reasons(tmp_path, row, reason):
    assert reason_for(tmp_path, row) == reason


def test_a_valid_row_in_full(tmp_path):
    row = review(
        title="So <b>soft</b>", text="a\x00b&amp;c  \U0001f600", context=" wedding ", fit="small",
        size=4, tags=["x"], gone=None,
    )  # fmt: skip
    _, kept, refused = read(tmp_path, [row])
    assert dict(kept.schema) == REVIEW_SCHEMA
    assert dict(refused.schema) == QUARANTINE_SCHEMA
    assert kept.to_dicts() == [
        {
            "review_id": review_id("U1", "B1", 1_600_000_000_000),
            "user_id": "U1",
            "parent_asin": "B1",
            "timestamp": 1_600_000_000_000,
            "rating": 5.0,
            "title": "So soft",
            "text": "a b&c \U0001f600",
            "raw_title": "So <b>soft</b>",
            "raw_text": "a\x00b&amp;c  \U0001f600",
            "helpful_vote": 2,
            "verified_purchase": True,
            "context": "wedding",
            "extras": '{"fit": "small", "size": 4}',
        }
    ]


def test_only_the_ids_the_time_and_the_rating_are_needed(tmp_path):
    row = {"user_id": "U", "parent_asin": "B", "timestamp": 10**12, "rating": 1}
    _, kept, _ = read(tmp_path, [row, row | {"user_id": "V", "title": None, "text": None}])
    assert kept["text"].to_list() == ["", ""]
    assert kept["context"].to_list() == [None, None]
    assert kept["verified_purchase"].to_list() == [False, False]


def test_the_first_of_duplicates_is_kept_and_none_is_refused(tmp_path):
    rows = [review(text="first"), b"", review(text="second"), review(timestamp=10**12), b"  \r"]
    result, kept, refused = read(tmp_path, rows)
    assert result == Intake(rows=3, kept=2, duplicates=1, refused={})
    assert kept["raw_text"].to_list() == ["My skin feels soft", "first"]
    assert refused.is_empty()


def test_a_long_line_is_refused_and_the_rest_is_read(tmp_path):
    huge = b'{"text": "' + b"x" * 10_000_000 + b'"}'
    small = b'{"text": "' + b"y" * 2_000_000 + b'"}'
    result, kept, refused = read(
        tmp_path, [review(), huge, review(user_id="U2"), small, review(user_id="U3"), huge[:-2]]
    )
    assert len(kept) == 3
    assert result.refused == {"line: too long": 3}
    assert refused["line"].to_list() == [2, 4, 6]
    assert refused["excerpt"].str.len_chars().to_list() == [500, 500, 500]
    assert refused["excerpt"][0] == huge[:500].decode()


def test_a_mean_that_is_none_of_stars_is_missing(tmp_path):
    said = [4.5, 0, 5, -1, 5.1, 47, 1e300, 10**400]
    rows = [item(parent_asin=f"B{n}", average_rating=mean) for n, mean in enumerate(said)]
    source = write_lines(tmp_path / "m.jsonl", rows)
    result = ingest_items(source, tmp_path / "m.parquet", tmp_path / "q.parquet", CorpusSettings())
    assert (result.kept, result.refused) == (len(said), {})
    kept = pl.read_parquet(tmp_path / "m.parquet")
    assert kept["average_rating"].to_list() == [4.5, 0, 5, None, None, None, None, None]


def test_items(tmp_path):
    rows = [
        item(parent_asin="B2", price="$1,012.99", details='{"z": 1, "a": NaN}', title="Gift card",
             features=None, description="one", store=None, average_rating=None),
        item(),
        item(parent_asin="B2", title="a later row"),
        item(parent_asin="B3", price="from 10.00", categories=["Beauty", "Hair &amp; Care"]),
        item(parent_asin="B4", price=None, details=None), item(parent_asin="B5", price="n/a"),
        item(parent_asin="B6", details="plain"), item(parent_asin="B7", features=[1]),
        item(parent_asin=None), item(parent_asin="B8", details=[], features=["a", None]),
        item(parent_asin="B9", details=[{"key": "Brand", "value": "X"}], price="1.299"),
    ]  # fmt: skip
    source = write_lines(tmp_path / "m.jsonl.gz", rows)
    result = ingest_items(source, tmp_path / "m.parquet", tmp_path / "q.parquet", CorpusSettings())
    kept = pl.read_parquet(tmp_path / "m.parquet")
    assert result.duplicates == 1
    assert result.refused == {
        "features: not a list of strings": 1,
        "parent_asin: missing": 1,
    }
    assert dict(kept.schema) == ITEM_SCHEMA
    assert kept["parent_asin"].to_list() == [f"B{n}" for n in (1, 2, 3, 4, 5, 6, 8, 9)]
    assert kept["price"].to_list()[:5] == pytest.approx([12.99, 1012.99, 10.0, None, None])
    assert kept["raw_price"].to_list()[:5] == [None, "$1,012.99", "from 10.00", None, "n/a"]
    assert kept.select("price", "raw_price").row(-1) == (None, "1.299")
    assert kept["details"].to_list()[-3:] == ["{}", "{}", '{"Brand": "X"}']
    assert kept["features"].to_list()[-2] == ["a"]
    assert kept["category"].to_list()[:3] == ["Lipstick", None, "Hair & Care"]
    assert kept["category_source"].to_list()[:3] == ["rules", "none", "categories"]
    assert kept["description"].to_list()[:2] == ["A classic red", "one"]
    assert json.loads(kept["details"][1]) == {"a": None, "z": 1}
    assert kept["features"].to_list()[:2] == [["Lasts all day"], []]


def random_rows(count, seed=3):
    rng = random.Random(seed)
    rows = []
    for n in range(count):
        row = review(
            user_id=f"U{rng.randrange(60)}",
            parent_asin=f"B{rng.randrange(9)}",
            timestamp=1_500_000_000_000 + rng.randrange(40),
            text=f"row <br/> {n}",
        )
        rows.append(row | {"rating": 9} if n % 17 == 0 else b"{broken" if n % 23 == 0 else row)
    return rows


@pytest.mark.slow
def test_blocks_workers_and_ranges_change_nothing(tmp_path, monkeypatch):
    """Against one dictionary loop over the whole file."""
    rows = random_rows(3000)
    first: dict[str, dict] = {}
    for row in rows:
        if isinstance(row, dict) and row["rating"] <= 5:
            first.setdefault(review_id(row["user_id"], row["parent_asin"], row["timestamp"]), row)
    expected = sorted((row["timestamp"], key, row["text"]) for key, row in first.items())
    plain, kept, refused = read(tmp_path, rows)
    assert kept.select("timestamp", "review_id", "raw_text").rows() == expected
    assert plain.refused_rows + len(kept) + plain.duplicates == plain.rows == 3000
    assert Counter(refused["reason"].to_list()) == Counter(plain.refused)
    digests = [content_hash(tmp_path / "out" / name) for name in ("r.parquet", "q.parquet")]
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 20_000)
    monkeypatch.setattr(intake, "_SMALL_FILE_BYTES", 0)
    for workers in (0, 2):
        again, *_ = read(tmp_path, rows, workers=workers)
        assert again == plain
        assert content_hash(tmp_path / "out" / "r.parquet") == digests[0]
    monkeypatch.setattr(merge, "RANGE_ROWS", 100)
    ranged, kept_again, _ = read(tmp_path, rows)
    assert ranged == plain
    assert kept_again.equals(kept)
    assert kept["timestamp"].is_sorted()


def test_an_edited_row_changes_that_row_only(tmp_path):
    rows = [r for r in random_rows(200) if isinstance(r, dict)]
    _, before, _ = read(tmp_path, rows)
    place = next(i for i, row in enumerate(rows) if row["rating"] == 5)
    rows[place] = rows[place] | {"text": "edited"}
    _, after, _ = read(tmp_path, rows)
    assert (before != after).sum().sum_horizontal().item() == 2  # text, raw_text


def test_parquet_input_gives_the_same_rows(tmp_path):
    rows = [review(user_id=f"U{n}", timestamp=1_500_000_000_000 + n) for n in range(50)]
    _, kept, _ = read(tmp_path, rows)
    frame = pl.DataFrame([{k: v for k, v in r.items() if k != "images"} for r in rows])
    frame.with_columns(pl.col("helpful_vote").cast(pl.Float64)).write_parquet(
        tmp_path / "a.parquet"
    )
    frame.with_columns(
        pl.from_epoch("timestamp", "ms"),
        blob=pl.lit(b"\xff"),
        user_id=pl.col("user_id").cast(pl.Categorical),
    ).write_parquet(tmp_path / "b.parquet")
    for name in ("a.parquet", "b.parquet"):
        ingest_reviews(
            tmp_path / name,
            tmp_path / "o.parquet",
            tmp_path / "q.parquet",
            CorpusSettings(),
            NOW_MS,
        )
        assert pl.read_parquet(tmp_path / "o.parquet").equals(kept)


def test_all_rows_refused_is_for_the_caller_to_judge(tmp_path):
    result, kept, _ = read(tmp_path, [b"{", b"}"])
    assert kept.is_empty()
    assert dict(kept.schema) == REVIEW_SCHEMA
    assert result.refused_share == 1
    assert too_many_refused(result, CorpusSettings())
    assert not too_many_refused(Intake(100, 90, 5, {"x": 5}), CorpusSettings())


def test_check_counts_and_writes_nothing(tmp_path):
    source = write_lines(tmp_path / "r.jsonl", [review(), review(), review(rating=7)])
    result = check_file("reviews", source, CorpusSettings())
    assert list(tmp_path.iterdir()) == [source]
    assert describe(result).splitlines() == [
        "3 rows: 1 kept, 1 duplicates, 1 refused (33.33%)",
        "       1  rating: not in 1..5",
    ]
