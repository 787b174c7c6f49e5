"""One meaning for JSON Lines and Parquet, whatever the path is called."""

import json
from datetime import date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from beauty_rec.corpus.intake.errors import CorpusFileError
from beauty_rec.corpus.intake.ingest import ingest_items, ingest_reviews
from beauty_rec.corpus.intake.profiles import ingest_profiles
from beauty_rec.settings import CorpusSettings
from beauty_rec_tests.corpus.rows import NOW_MS, item, review, write_lines

NAN = float("nan")
ODD_NAMES = ["shop [new]", "a*b", "a?b", "{a,b}", "it's", 'q"', "$HOME", "a%20b", "~", "ü#1"]


def reviews_of(source, folder):
    target = folder / "r.parquet"
    intake = ingest_reviews(source, target, folder / "q.parquet", CorpusSettings(), NOW_MS)
    return intake, pl.read_parquet(target, glob=False)


def items_of(source, folder):
    target = folder / "i.parquet"
    intake = ingest_items(source, target, folder / "q.parquet", CorpusSettings())
    return intake, pl.read_parquet(target, glob=False)


REVIEWS = [
    {"user_id": ["a", None], "timestamp": [1.6e12, NAN], "rating": [5.0, 4.0]},
    {"helpful_vote": [1.0, NAN], "rating": [NAN, 4.5]},
    {"helpful_vote": [1.5, float("inf")], "timestamp": [1.6e15, 1.6e18]},
    {"timestamp": [1_600_000_000.0, 4.1e12], "size": [NAN, 3.0]},
]


@pytest.mark.parametrize("columns", REVIEWS)
def test_numbers_mean_the_same_in_both_formats(tmp_path, columns):
    """What pandas writes: integers with a gap are floats, a missing value is NaN."""
    rows = [
        {"user_id": f"u{n}", "parent_asin": "B1", "timestamp": 1_600_000_000_000 + n, "rating": 5.0}
        | {name: values[n] for name, values in columns.items()}
        for n in range(2)
    ]
    pl.DataFrame(rows).write_parquet(tmp_path / "r.parquet")
    parquet, from_parquet = reviews_of(tmp_path / "r.parquet", tmp_path / "a")
    lines, from_lines = reviews_of(write_lines(tmp_path / "r.jsonl", rows), tmp_path / "b")
    assert parquet == lines
    assert from_parquet.equals(from_lines)


def test_whole_floats_and_nan_are_kept(tmp_path):
    rows = [
        review(timestamp=1_600_000_000_123.0, helpful_vote=3.0),
        review(user_id="U2", title=NAN, text=NAN, helpful_vote=NAN, verified_purchase=NAN,
               context=NAN),
    ]  # fmt: skip
    intake, kept = reviews_of(write_lines(tmp_path / "r.jsonl", rows), tmp_path)
    assert (intake.kept, intake.refused) == (2, {})
    kept = kept.sort("user_id")
    assert kept["timestamp"][0] == 1_600_000_000_123
    assert kept["helpful_vote"].to_list() == [3, 0]
    assert kept.row(1, named=True)["context"] is None
    rows = [
        item(rating_number=18.0),
        item(parent_asin="B2", rating_number=NAN, price=NAN, average_rating=NAN, title=NAN,
             features=NAN, description=[NAN, "x"], details=NAN, store=NAN),
    ]  # fmt: skip
    intake, kept = items_of(write_lines(tmp_path / "i.jsonl", rows), tmp_path)
    assert (intake.kept, intake.refused) == (2, {})
    assert kept["rating_number"].to_list() == [18, None]
    assert kept["description"][1] == "x"


@pytest.mark.parametrize("moment", [datetime(2020, 9, 13), date(2020, 9, 13)])
def test_a_moment_of_parquet_is_a_timestamp(tmp_path, moment):
    row = {"user_id": "u", "parent_asin": "b", "rating": Decimal("4.5"), "timestamp": moment}
    pl.DataFrame([row]).write_parquet(tmp_path / "r.parquet")
    _, kept = reviews_of(tmp_path / "r.parquet", tmp_path)
    assert kept.select("timestamp", "rating").row(0) == (1_599_955_200_000, 4.5)


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([b"\xff\x00"]),
        pl.Series([[{"bytes": b"\xff", "path": "x.jpg"}]]),
        pl.Series([timedelta(days=1)]),
        pl.Series([[timedelta(days=1)]]),
        pl.Series([[[{"a": [b"x"]}]]]),
        pl.Series([None]),
        pl.Series([[b"x"]], dtype=pl.Array(pl.Binary, 1)),
        pl.Series([1], dtype=pl.Int128),
    ],
    ids=lambda column: str(column.dtype),
)
@pytest.mark.parametrize("name", ["images", "blob", "*", "^.*$", "", "context_vector"])
def test_an_odd_column_keeps_no_row_out(tmp_path, column, name):
    row = {"user_id": ["u"], "parent_asin": ["b"], "timestamp": [1_600_000_000_000]}
    frame = pl.DataFrame({**row, "rating": [5], name: column})
    frame.write_parquet(tmp_path / "r.parquet")
    intake, _ = reviews_of(tmp_path / "r.parquet", tmp_path)
    assert (intake.kept, intake.refused) == (1, {})
    frame.write_parquet(tmp_path / "p.parquet")
    profiles = ingest_profiles(
        tmp_path / "p.parquet", tmp_path / "o.parquet", tmp_path / "q.parquet", CorpusSettings()
    )
    assert profiles.kept == 1


def test_native_fields_may_be_bytes_and_nested(tmp_path):
    frame = pl.DataFrame(
        {
            "parent_asin": [b"B1"],
            "title": ["Rosé".encode() + b"\xff"],
            "features": [[b"soft", None]],
            "categories": pl.Series([["Hair", "Care"]], dtype=pl.Array(pl.String, 2)),
            "details": [{"Brand": "X", "age": timedelta(days=2), "raw": [1.5, None]}],
            "price": [Decimal("12.99")],
        }
    )
    frame.write_parquet(tmp_path / "i.parquet")
    intake, kept = items_of(tmp_path / "i.parquet", tmp_path)
    assert (intake.kept, intake.refused) == (1, {})
    row = kept.row(0, named=True)
    assert (row["parent_asin"], row["title"], row["category"]) == ("B1", "Rosé\ufffd", "Care")
    assert row["features"] == ["soft"]
    assert json.loads(row["details"]) == {"Brand": "X", "age": "P2D", "raw": [1.5, None]}
    assert row["price"] == pytest.approx(12.99)


@pytest.mark.parametrize(
    "details",
    [
        pl.Series([{"Brand": "X"}], dtype=pl.Map(pl.String, pl.String)),
        pl.Series(['{"Brand": "X"}']).ext.to(pl.Extension("arrow.json", pl.String, "")),
    ],
    ids=["a map", "JSON"],
)
def test_details_may_be_a_map_or_json(tmp_path, details):
    frame = pl.DataFrame({"parent_asin": ["B1"], "details": details})
    frame.write_parquet(tmp_path / "i.parquet")
    _, kept = items_of(tmp_path / "i.parquet", tmp_path)
    assert json.loads(kept["details"][0]) == {"Brand": "X"}


def test_a_list_for_a_text_is_refused_in_both_formats(tmp_path):
    row = {"user_id": "u", "parent_asin": "b", "timestamp": 1_600_000_000_000, "rating": 5.0}
    for wrong in ({"text": ["a"]}, {"rating": [5.0]}, {"title": {"en": "a"}}):
        pl.DataFrame([{**row, **wrong}]).write_parquet(tmp_path / "r.parquet")
        (tmp_path / "r.jsonl").write_text(json.dumps({**row, **wrong}))
        found = [reviews_of(tmp_path / f"r.{kind}", tmp_path)[0] for kind in ("parquet", "jsonl")]
        assert found[0].refused == found[1].refused != {}


def test_files_without_rows_or_columns_are_named(tmp_path):
    path = tmp_path / "r.parquet"
    for frame, fault in (
        (pl.DataFrame(schema={"user_id": pl.String}), "holds no rows"),
        (pl.DataFrame({"blob": [b"x"]}), "has no column that can be read"),
    ):
        frame.write_parquet(path)
        with pytest.raises(CorpusFileError, match=fault):
            reviews_of(path, tmp_path)


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_path_is_a_path(tmp_path, name, suffix):
    """Also where the name, taken for a pattern, matches a neighbour."""
    for neighbour in ("r1", "axb", "a", "shop n", "shop e"):
        folder = tmp_path / neighbour
        folder.mkdir()
        pl.DataFrame([review(user_id="other")]).write_parquet(folder / f"{neighbour}.parquet")
        pl.DataFrame([review(user_id="other")]).write_parquet(folder / f"{name}.parquet")
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    source = folder / f"{name}{suffix}"
    if suffix == ".parquet":
        pl.DataFrame([review()]).write_parquet(source)
    else:
        write_lines(source, [review()])
    intake, kept = reviews_of(source, folder)
    assert intake.rows == 1
    assert kept["user_id"].to_list() == ["U1"]
