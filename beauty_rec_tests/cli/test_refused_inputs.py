"""Input files that a run does not go on with."""

import gzip
import re
from pathlib import Path

from typer.testing import CliRunner

from beauty_rec.cli import app
from beauty_rec_tests.command_line_shop import Shop


def test_too_many_refused_rows_stop_the_run(tmp_path: Path) -> None:
    shop = Shop(tmp_path, Path("unused"))
    broken = tmp_path / "reviews.jsonl"
    good = gzip.decompress(shop.files.reviews.read_bytes())
    broken.write_bytes(good + b"{broken\n" * 60)
    options = ["--reviews", broken, "--data-dir", shop.data, "--set", f"encoder.model={tmp_path}"]
    for _ in range(2):
        result = CliRunner().invoke(app, ["run", *map(str, options)])
        assert result.exit_code == 1
        assert re.search(r"failed +raw_reviews .*check few_refused_rows: \d+ of", result.stdout)
        assert re.search(r"failed +split_reviews .*not tried", result.stdout)
    assert not (shop.data / "processed" / "split_reviews.parquet").exists()


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["run", "--reviews", str(tmp_path / "no.jsonl"), "--data-dir", str(tmp_path / "d")]
    )
    assert isinstance(result.exception, FileNotFoundError)
    assert "no.jsonl is not a file; name the reviews with" in str(result.exception)
    assert not (tmp_path / "d" / "settings.json").exists()
