import polars as pl
import pytest

from beauty_rec.corpus.intake.errors import CorpusFileError
from beauty_rec.corpus.intake.profiles import ingest_profiles
from beauty_rec.settings import CorpusSettings
from beauty_rec_tests.corpus.rows import write_lines


def ingest(tmp_path, rows, name="p.jsonl"):
    source = write_lines(tmp_path / name, rows)
    target, quarantine = tmp_path / "out" / "p.parquet", tmp_path / "out" / "q.parquet"
    intake = ingest_profiles(source, target, quarantine, CorpusSettings())
    return intake, pl.read_parquet(target), pl.read_parquet(quarantine)


def test_numeric_fields_are_floats_and_the_rest_strings(tmp_path):
    rows = [
        {"user_id": "b", "height_cm": 170, "age": "31", "body_type": "a <b>pear</b>", "new": True},
        {"user_id": "a", "height_cm": None, "age": 25.5, "shoes": 1e400},
        b'{"user_id": "c", "height_cm": NaN, "age": "unknown", "list": [1]}',
    ]
    intake, users, _ = ingest(tmp_path, rows)
    assert (intake.rows, intake.kept, intake.refused) == (3, 3, {})
    assert users["user_id"].to_list() == ["a", "b", "c"]
    assert users["height_cm"].to_list() == [None, 170, None]
    assert users["age"].to_list() == [25.5, 31, None]
    assert users["new"].to_list() == [None, 1, None]
    assert users["shoes"].to_list() == [None] * 3
    assert users["body_type"].to_list() == [None, "a pear", None]
    assert users.columns == ["user_id", "age", "body_type", "height_cm", "new", "shoes"]
    assert users.schema["height_cm"] == pl.Float32


def test_first_of_a_user_is_kept_and_bad_rows_are_refused(tmp_path):
    rows = [{"user_id": "a", "age": 1}, {"user_id": " a ", "age": 2}, {"age": 3}, b"{", [1]]
    intake, users, refused = ingest(tmp_path, rows)
    assert (intake.kept, intake.duplicates) == (1, 1)
    assert users["age"].to_list() == [1]
    assert refused["line"].to_list() == [3, 4, 5]
    assert refused["reason"].to_list() == [
        "user_id: missing",
        "line: not JSON",
        "line: not a JSON object",
    ]


def test_parquet_and_huge_numbers(tmp_path):
    frame = pl.DataFrame({"user_id": ["a", "b"], "age": [3.0, float("nan")], "n": [1, 2]})
    frame.write_parquet(tmp_path / "p.parquet")
    intake = ingest_profiles(
        tmp_path / "p.parquet", tmp_path / "o.parquet", tmp_path / "q.parquet", CorpusSettings()
    )
    assert intake.kept == 2
    assert pl.read_parquet(tmp_path / "o.parquet")["age"].to_list() == [3.0, None]
    _, users, _ = ingest(tmp_path, [b'{"user_id": "a", "x": 1' + b"0" * 400 + b"}"])
    assert users["x"].to_list() == [None]


def test_a_file_of_something_else_is_an_error(tmp_path):
    rows = [{"user_id": "a"} | {f"f{n}": n for n in range(300)}]
    with pytest.raises(CorpusFileError, match=r"p\.jsonl: has more than 200 fields"):
        ingest(tmp_path, rows)
    assert not (tmp_path / "out").exists()
