"""The record of what was dropped of forgotten users.

``forgotten.json`` of the data folder names them by hash: when each was forgotten, and of what how
many rows were dropped, when for the first and when for the last time.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.corpus.forgotten import Forgotten

RECORD = "forgotten.json"


def read_record(data_dir: Path) -> dict[str, Any]:
    """Return the record: digest → ``forgotten_at`` and ``dropped``; empty where there is none.

    Raises:
        ValueError: the file is no record; the message names it.
    """
    path = data_dir / RECORD
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if all(entry["forgotten_at"] and entry["dropped"] is not None for entry in found.values()):
            return dict(found)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    raise ValueError(f"{path} is no record of who was forgotten; move it away and run again")


def record(data_dir: Path, forgotten: Forgotten, where: str, rows: Mapping[str, int]) -> None:
    """Add to the record what was dropped.

    Args:
        data_dir: that it stands in.
        forgotten: all who are.
        where: what it was dropped of.
        rows: how many, by digest in hex.
    """
    if not len(forgotten):
        return
    now, kept = datetime.now(UTC).isoformat(timespec="seconds"), read_record(data_dir)
    for mark in forgotten:
        since = datetime.fromtimestamp(mark.at_ms / 1000, UTC).isoformat(timespec="seconds")
        entry = kept.setdefault(mark.digest.hex(), {"dropped": {}})
        entry["forgotten_at"] = since
        if count := rows.get(mark.digest.hex()):
            first = entry["dropped"].get(where, {}).get("first", now)
            entry["dropped"][where] = {"rows": count, "first": first, "last": now}
    write_text_atomic(data_dir / RECORD, json.dumps(kept, indent=1, sort_keys=True) + "\n")
