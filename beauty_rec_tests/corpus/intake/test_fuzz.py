"""Any line is kept, a duplicate, or refused with a reason; none stops an intake."""

from collections import Counter
from contextlib import suppress

import polars as pl
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from beauty_rec.corpus.intake.errors import CorpusFileError
from beauty_rec.corpus.intake.ingest import ingest_items, ingest_reviews
from beauty_rec.corpus.intake.profiles import ingest_profiles
from beauty_rec.corpus.price import MOST
from beauty_rec.corpus.schema import ITEM_SCHEMA, REVIEW_SCHEMA
from beauty_rec.corpus.split import SplitError, cut_times, split_reviews
from beauty_rec.corpus.times import CLOCK_SLACK_MS, MIN_TIMESTAMP_MS
from beauty_rec.settings import CorpusSettings
from beauty_rec_tests.corpus.fuzz import fuzzed_lines
from beauty_rec_tests.corpus.rows import NOW_MS, item, review

SETTINGS = CorpusSettings(workers=0)
LINES = [
    pytest.param(4_000, id="short"),
    pytest.param(100_000, id="long", marks=pytest.mark.faults),
]


def of_lines(path, lines):
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return sum(bool(line.strip()) for line in lines), path


def accounted_for(intake, rows, target, quarantine):
    """Every line that is not blank is kept, a duplicate, or in the quarantine with its reason."""
    kept, refused = (pl.read_parquet(path, glob=False) for path in (target, quarantine))
    assert intake.rows == rows
    assert (intake.kept, intake.refused_rows) == (len(kept), len(refused))
    assert intake.kept + intake.duplicates + intake.refused_rows == rows
    assert Counter(refused["reason"].to_list()) == Counter(intake.refused)
    assert refused["line"].is_unique().all()
    assert refused["reason"].str.contains(r"^[a-z_]+: [a-zA-Z0-9 ,.'-]+$").all()
    assert (refused["excerpt"].str.len_chars() <= 500).all()
    return kept


@pytest.mark.parametrize("count", LINES)
def test_reviews(tmp_path, count):
    rows, source = of_lines(tmp_path / "r.jsonl", list(fuzzed_lines(count, 1, review)))
    target, quarantine = tmp_path / "r.parquet", tmp_path / "q.parquet"
    intake = ingest_reviews(source, target, quarantine, SETTINGS, NOW_MS)
    kept = accounted_for(intake, rows, target, quarantine)
    assert dict(kept.schema) == REVIEW_SCHEMA
    assert kept["rating"].is_between(1, 5).all()
    assert kept["timestamp"].is_between(MIN_TIMESTAMP_MS, NOW_MS + CLOCK_SLACK_MS).all()
    assert intake.kept > count / 3
    split = split_reviews(kept, cut_times(kept["timestamp"], SETTINGS))
    assert set(split["split"]) == {"train", "valid", "test"}
    assert split.group_by("timestamp").agg(pl.col("split").n_unique())["split"].max() == 1


@pytest.mark.parametrize("count", LINES)
def test_items_and_their_prices(tmp_path, count):
    rows, source = of_lines(tmp_path / "m.jsonl", list(fuzzed_lines(count, 2, item)))
    target, quarantine = tmp_path / "m.parquet", tmp_path / "q.parquet"
    kept = accounted_for(
        ingest_items(source, target, quarantine, SETTINGS), rows, target, quarantine
    )
    assert dict(kept.schema) == ITEM_SCHEMA
    assert kept["price"].drop_nulls().is_between(0, MOST).all()
    names = kept.select("store", "main_category", "category", "raw_price", "parent_asin")
    assert names.select(pl.all().str.len_chars().max()).max_horizontal().item() <= 200
    assert kept["details"].str.json_decode(pl.Struct({"Brand": pl.String})).len() == len(kept)


@pytest.mark.parametrize("count", LINES)
def test_profiles(tmp_path, count):
    for seed in range(count // 4_000):  # in files of so many: random names make too many fields
        lines = list(fuzzed_lines(4_000, seed, lambda **_: {"user_id": "u", "age": 30}))
        rows, source = of_lines(tmp_path / "p.jsonl", lines)
        target, quarantine = tmp_path / "p.parquet", tmp_path / "q.parquet"
        intake = ingest_profiles(source, target, quarantine, SETTINGS)
        accounted_for(intake, rows, target, quarantine)


@settings(max_examples=60, deadline=None)
@given(data=st.lists(st.binary(max_size=200) | st.text(max_size=60).map(str.encode), max_size=20))
@example(data=[b'{"user_id": "u"}'])  # a file of which nothing is refused
def test_any_bytes_of_a_file(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("bytes")
    for name in ("r.jsonl", "r.jsonl.gz", "r.parquet"):
        source = folder / name
        source.write_bytes(b"\n".join(data))
        target, quarantine = folder / "o.parquet", folder / "q.parquet"
        for ingest in (ingest_reviews, ingest_items, ingest_profiles):
            with suppress(CorpusFileError):
                intake = ingest(source, target, quarantine, SETTINGS)
                accounted_for(intake, intake.rows, target, quarantine)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(MIN_TIMESTAMP_MS, NOW_MS), max_size=50),
    st.floats(0.01, 0.99),
    st.floats(0.01, 0.99),
    st.none() | st.integers(MIN_TIMESTAMP_MS, NOW_MS),
)
def test_any_split_has_three_parts_or_a_reason(times, train, valid, cut):
    assume(train + valid < 1)
    shares = CorpusSettings(train_share=train, valid_share=valid, train_end_ms=cut)
    series = pl.Series(times, dtype=pl.Int64)
    try:
        cuts = cut_times(series, shares)
    except SplitError:
        return
    split = split_reviews(pl.DataFrame({"timestamp": series}), cuts)["split"]
    assert set(split) == {"train", "valid", "test"}
