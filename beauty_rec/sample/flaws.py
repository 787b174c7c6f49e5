"""A pinch of bad rows of each kind that real dumps hold, beside the good rows."""

from collections.abc import Callable, Sequence
from json import JSONEncoder
from typing import Any

import numpy as np

Row = dict[str, Any]
SHARE = 0.001
"""Of each kind, in proportion to the good rows."""
MAX_SHARE = 0.015
"""Of all kinds together: a small file does not get every kind."""
encode = JSONEncoder(ensure_ascii=False).encode


def _with(**changed: object) -> Callable[[Row], bytes]:
    return lambda row: encode({**row, **changed}).encode()


def _without(*names: str) -> Callable[[Row], bytes]:
    return lambda row: encode({k: v for k, v in row.items() if k not in names}).encode()


def _cut(row: Row) -> bytes:
    line = encode(row)
    return line[: len(line) * 2 // 3].encode()


def _garbled(row: Row) -> bytes:
    line = encode({**row, "title": "caf\0"}).encode()
    return line.replace(b"caf\\u0000", b"caf\xe9")  # Latin-1 in a UTF-8 file


def _same(row: Row) -> bytes:
    return encode(row).encode()


def _seconds(row: Row) -> bytes:
    return encode({**row, "timestamp": row["timestamp"] // 1000}).encode()


REVIEW_FLAWS: dict[str, Callable[[Row], bytes]] = {
    "broken_json": _cut,
    "wrong_type": _with(rating="five stars"),
    "missing_user": _without("user_id"),
    "empty_item": _with(asin="", parent_asin=""),
    "rating_zero": _with(rating=0.0),
    "rating_seven": _with(rating=7.0),
    "rating_nan": _with(rating=float("nan")),
    "timestamp_negative": _with(timestamp=-1),
    "timestamp_seconds": _seconds,
    "timestamp_future": _with(timestamp=4_102_444_800_000),
    "invalid_utf8": _garbled,
    "duplicate_review": _same,
}
ITEM_FLAWS: dict[str, Callable[[Row], bytes]] = {
    "broken_json": _cut,
    "wrong_type": _with(title=["not", "a", "title"]),
    "missing_item": _without("parent_asin"),
    "invalid_utf8": _garbled,
    "duplicate_item": _same,
}
PROFILE_FLAWS: dict[str, Callable[[Row], bytes]] = {
    "broken_json": _cut,
    "missing_user": _without("user_id"),
}


def plan_flaws(
    rows: int, kinds: Sequence[str], rng: np.random.Generator
) -> tuple[dict[int, list[str]], dict[str, int]]:
    """Return which flaws follow which good row, and how many there are of each kind.

    One of each kind at least, where ``MAX_SHARE`` allows it.
    """
    total = min(max(1, round(SHARE * rows)) * len(kinds), int(MAX_SHARE * rows))
    plan: dict[int, list[str]] = {}
    counts: dict[str, int] = {}
    for number, position in enumerate(rng.integers(0, rows, total).tolist()):
        kind = kinds[number % len(kinds)]
        plan.setdefault(position, []).append(kind)
        counts[kind] = counts.get(kind, 0) + 1
    return plan, counts
