"""Rows and files that the tests of the corpus share."""

import gzip
import json
from pathlib import Path
from typing import Any

NOW_MS = 1_700_000_000_000


def review(**changes: Any) -> dict[str, Any]:
    """Return a valid native review row."""
    row: dict[str, Any] = {
        "rating": 5.0,
        "title": "Soft",
        "text": "My skin feels soft",
        "images": [],
        "asin": "B1",
        "parent_asin": "B1",
        "user_id": "U1",
        "timestamp": 1_600_000_000_000,
        "helpful_vote": 2,
        "verified_purchase": True,
    }
    return row | changes


def item(**changes: Any) -> dict[str, Any]:
    """Return a valid native metadata row."""
    row: dict[str, Any] = {
        "main_category": "All Beauty",
        "title": "Forever Red Lipstick",
        "average_rating": 4.5,
        "rating_number": 12,
        "features": ["Lasts  all day"],
        "description": ["A <b>classic</b>", "red"],
        "price": 12.99,
        "images": [{"thumb": "x"}],
        "videos": [],
        "store": "Besame",
        "categories": [],
        "details": {"Brand": "Besame"},
        "parent_asin": "B1",
        "bought_together": None,
    }
    return row | changes


def write_lines(path: Path, rows: list[Any]) -> Path:
    """Write rows (dictionaries, or bytes as they are) as JSON lines; gzip by the suffix."""
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    data = b"".join(line + b"\n" for line in lines)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path
