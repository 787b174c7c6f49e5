"""The files of the synthetic sample: bytes, sizes, and every kind of bad row."""

import collections
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from beauty_rec.sample import SampleFiles, has_sample, is_synthetic, write_sample
from beauty_rec.settings import SampleSettings
from beauty_rec_tests.harm import ODD_JSON
from beauty_rec_tests.sample.conftest import good_reviews, good_rows, lines, reason


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    settings = SampleSettings(reviews=400, items=90, seed=7)
    for name in ("a", "b"):
        write_sample(tmp_path / name, settings)
    write_sample(tmp_path / "c", settings.model_copy(update={"seed": 8}))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert not contents(tmp_path / "a").items() & contents(tmp_path / "c").items()


def test_hash_randomisation_does_not_reach_the_bytes(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from beauty_rec.sample import write_sample;"
        "from beauty_rec.settings import SampleSettings;"
        "write_sample(pathlib.Path(sys.argv[1]), SampleSettings(reviews=200, items=50))"
    )
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / seed)],
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
        )
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


@pytest.mark.parametrize(("count", "item_count"), [(100, 20), (100, 5_000), (777, 30), (5_000, 20)])
def test_any_size(tmp_path: Path, count: int, item_count: int) -> None:
    files = write_sample(tmp_path, SampleSettings(reviews=count, items=item_count))
    rows = good_reviews(files.reviews)
    assert len(rows) == count
    assert len({r["parent_asin"] for r in rows}) <= item_count
    assert len(lines(files.reviews)) <= 1.02 * count
    assert len(good_rows(files.items, "parent_asin")) == pytest.approx(0.97 * item_count, rel=0.13)


def test_every_kind_of_bad_review_is_there_and_few(sample: SampleFiles) -> None:
    seen: set[tuple[str, str, int]] = set()
    reasons = collections.Counter(reason(line, seen) for line in lines(sample.reviews))
    assert reasons.pop(None) == 6_000
    assert set(reasons) == {
        "utf8", "json", "id", "type", "nan", "rating 0", "rating 7",
        "negative", "seconds", "future", "duplicate",
    }  # fmt: skip
    assert sum(reasons.values()) < 0.02 * 6_000
    manifest = json.loads((sample.reviews.parent / "synthetic.json").read_text())
    assert sum(manifest["bad_rows"]["reviews"].values()) == sum(reasons.values())


def test_every_kind_of_bad_item_is_there(sample: SampleFiles) -> None:
    kinds: collections.Counter[str] = collections.Counter()
    ids = set()
    for line in lines(sample.items):
        try:
            row = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError:
            kinds["utf8"] += 1
            continue
        except json.JSONDecodeError:
            kinds["json"] += 1
            continue
        kinds["id"] += "parent_asin" not in row
        kinds["type"] += not isinstance(row["title"], str)
        kinds["duplicate"] += isinstance(row["title"], str) and row.get("parent_asin") in ids
        ids.add(row.get("parent_asin"))
    assert all(kinds[kind] for kind in ("utf8", "json", "id", "type", "duplicate"))
    assert kinds.total() < 0.02 * len(ids)


def test_metadata_is_as_patchy_as_the_real_file(
    reviews: list[dict[str, Any]], items: dict[str, dict[str, Any]]
) -> None:
    def share(name: str, empty: Any) -> float:
        return statistics.mean(row[name] == empty for row in items.values())

    assert share("categories", []) == 1
    assert share("price", None) == pytest.approx(0.81, abs=0.04)
    assert share("description", []) == pytest.approx(0.82, abs=0.04)
    assert share("store", None) == pytest.approx(0.10, abs=0.03)
    assert share("bought_together", None) == 1
    bought = {row["parent_asin"] for row in reviews}
    assert 0.015 < len(bought - set(items)) / len(bought) < 0.05
    prices = [row["price"] for row in items.values() if row["price"] is not None]
    assert {type(price) for price in prices} == {float, str}
    assert any(str(p).startswith("$") for p in prices)
    assert any(str(p).startswith("from ") for p in prices)
    assert {type(row["details"]) for row in items.values()} == {dict, str}


def test_rows_have_the_native_fields(
    reviews: list[dict[str, Any]], items: dict[str, dict[str, Any]]
) -> None:
    native = {
        "rating", "title", "text", "images", "asin", "parent_asin", "user_id", "timestamp",
        "helpful_vote", "verified_purchase",
    }  # fmt: skip
    assert all(set(row) - {"context"} == native for row in reviews)
    assert statistics.mean("context" in row for row in reviews) == pytest.approx(0.35, abs=0.03)
    native = {
        "main_category", "title", "average_rating", "rating_number", "features", "description",
        "price", "images", "videos", "store", "categories", "details", "parent_asin",
        "bought_together",
    }  # fmt: skip
    assert all(set(row) == native for row in items.values())


def test_the_manifest_labels_the_sample(sample: SampleFiles, tmp_path: Path) -> None:
    assert is_synthetic(sample.reviews)
    elsewhere = tmp_path / sample.reviews.name
    elsewhere.write_bytes(b"")
    assert not is_synthetic(elsewhere)
    for text in ODD_JSON:
        (tmp_path / "synthetic.json").write_text(text)
        assert not is_synthetic(elsewhere)
        assert not has_sample(tmp_path, SampleSettings())


def test_a_file_that_is_no_samples_is_never_replaced(tmp_path: Path) -> None:
    settings = SampleSettings(reviews=100, items=20)
    for name in ("reviews.jsonl.gz", "meta.jsonl.gz", "profiles.jsonl.gz"):
        own = tmp_path / name
        own.write_bytes(b"a shop's own")
        with pytest.raises(FileExistsError, match=f"{name} is no sample .* name another folder"):
            write_sample(tmp_path, settings)
        assert contents(tmp_path) == {name: b"a shop's own"}
        own.unlink()
    write_sample(tmp_path, settings)
    write_sample(tmp_path, settings.model_copy(update={"seed": 8}))


@pytest.mark.slow
def test_memory_is_bounded_and_the_import_light(tmp_path: Path) -> None:
    code = """if True:
        import pathlib, resource, sys
        from beauty_rec.sample import write_sample
        from beauty_rec.settings import SampleSettings
        heavy = {"torch", "transformers", "dagster", "chromadb", "scipy"} & set(sys.modules)
        peaks = []
        for n in (500, 20_000):
            write_sample(pathlib.Path(sys.argv[1]), SampleSettings(reviews=n, items=n // 6))
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        print(len(heavy), *peaks)
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    heavy, small, large = map(int, done.stdout.split())
    assert heavy == 0
    assert large - small < 15  # MB, for 20,000 reviews of 10 MB of JSON: their rows take 12 more
