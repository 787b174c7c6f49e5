"""The synthetic sample, read back from its files by code of its own."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest

from beauty_rec.sample import SampleFiles, write_sample
from beauty_rec.settings import SampleSettings


def lines(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines()


def reason(line: bytes, seen: set[tuple[str, str, int]]) -> str | None:
    """Why a careful reader would refuse a review; None: it is good."""
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        return "utf8"
    except json.JSONDecodeError:
        return "json"
    if not row.get("user_id") or not row.get("parent_asin"):
        return "id"
    if not isinstance(row["rating"], float):
        return "type"
    if math.isnan(row["rating"]):
        return "nan"
    if not 1 <= row["rating"] <= 5:
        return f"rating {row['rating']:.0f}"
    if row["timestamp"] < 0:
        return "negative"
    if row["timestamp"] < 10**11:
        return "seconds"
    if row["timestamp"] > 1_790_000_000_000:
        return "future"
    key = (row["user_id"], row["parent_asin"], row["timestamp"])
    if key in seen:
        return "duplicate"
    seen.add(key)
    return None


def good_reviews(path: Path) -> list[dict[str, Any]]:
    seen: set[tuple[str, str, int]] = set()
    return [json.loads(line) for line in lines(path) if reason(line, seen) is None]


def good_rows(path: Path, key: str) -> dict[str, dict[str, Any]]:
    """Rows that parse, by id; the first of each id."""
    found: dict[str, dict[str, Any]] = {}
    for line in lines(path):
        try:
            row = json.loads(line.decode("utf-8"))
        except ValueError:
            continue
        if key in row and isinstance(row.get("title", ""), str):
            found.setdefault(row[key], row)
    return found


@pytest.fixture(scope="package")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleFiles:
    return write_sample(
        tmp_path_factory.mktemp("sample"), SampleSettings(reviews=6_000, items=1_800)
    )


@pytest.fixture(scope="package")
def reviews(sample: SampleFiles) -> list[dict[str, Any]]:
    return good_reviews(sample.reviews)


@pytest.fixture(scope="package")
def items(sample: SampleFiles) -> dict[str, dict[str, Any]]:
    return good_rows(sample.items, "parent_asin")
