"""Input files that a run does not go on with."""

import gzip
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from beauty_rec.cli import app
from beauty_rec_tests.command_line_shop import Shop


@pytest.mark.slow
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


@pytest.mark.slow
def test_items_without_reviews_build_no_synthetic_shop(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text('{"parent_asin": "A", "title": "A soap"}\n')
    (tmp_path / "hidden").write_text("S1\n")
    data = ["--data-dir", str(tmp_path / "d")]
    named = str(tmp_path / "items.jsonl")
    items = ["--items", named, "--profiles", named]

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, *data])

    for command in (["run"], ["run", "--dry-run"], ["plan"]):
        refused = call(*command, *items)
        assert isinstance(refused.exception, ValueError)
        said = str(refused.exception)
        assert "items and profiles are named without reviews: name --reviews FILE, or" in said
    assert not (tmp_path / "d").exists()
    # The folder of an older release may remember them.
    (tmp_path / "d").mkdir()
    kept = json.dumps({"items": str(tmp_path / "items.jsonl")})
    (tmp_path / "d" / "settings.json").write_text(kept)
    remedy = str(call("run").exception).partition("take them back with ")[2].split()
    assert "fail  inputs       items are named without reviews" in call("doctor").stdout
    small = ["--set", "sample.reviews=100", "--set", "sample.items=20", "--select", "raw_items"]
    hidden = ["--hidden-items", str(tmp_path / "hidden")]
    built = call("run", *remedy, *small, *hidden)
    assert built.exit_code == 0, built.output
    assert "items" not in json.loads((tmp_path / "d" / "settings.json").read_text())
    assert call("run", "--dry-run", "--select", "raw_items").exit_code == 0
