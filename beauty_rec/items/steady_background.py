"""A word background that stands still while train grows a little.

Every new review moves the frequency of a few words, and with them the order of keywords in the
texts of items that nobody said anything new of: on the All_Beauty slice 1% more reviews changed
20% of these texts, each to be embedded anew for nothing. So the background is kept, and made anew
when train has changed by a tenth, when other code makes it, or when the newest review that it
counts is of train no more: what is held out now must not order an item's words.
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from beauty_rec.artifacts import ODD_JSON, write_text_atomic
from beauty_rec.items.keyword_ranking import WordBackground
from beauty_rec.items.text import KEYWORD_COLUMNS, word_background

LOG = logging.getLogger("beauty_rec.cache")
LARGEST_CHANGE = 0.1
"""Share of the reviews that the background counts."""
PROBES = 500
"""Reviews that are looked at again: whether they are there, and say what they said."""


def steady_background(
    path: Path, keywords: pl.DataFrame | pl.LazyFrame, made_by: str | None = None
) -> WordBackground:
    """Return the background kept at ``path``; make it anew, and keep that, when it is outgrown.

    Args:
        path: a JSON file; need not exist.
        keywords: of train, in the order of time: ``review_id``, ``who``, ``when``, ``why``.
        made_by: code version of what makes it.
    """
    said = keywords.lazy()
    reviews = int(said.select(pl.len()).collect(engine="streaming").item())
    given = _read(path)
    if given is not None and given.get("made_by") == made_by and _holds(given, said, reviews):
        kept = WordBackground([])
        kept.reviews, kept.frequency = given["reviews"], Counter(given["frequency"])
        return kept
    made = word_background(said)
    given = {
        "made_by": made_by,
        "reviews": made.reviews,
        "probes": _probes(said, reviews),
        "frequency": made.frequency,
    }
    write_text_atomic(path, _text({**given, "check": _check(given)}))
    return made


def _holds(given: Mapping[str, Any], said: pl.LazyFrame, reviews: int) -> bool:
    """Whether train is still what the background counts, apart from less than a tenth."""
    if abs(reviews - given["reviews"]) >= LARGEST_CHANGE * given["reviews"]:
        return False
    before: list[list[str]] = given["probes"]
    newest = before[-1][0]
    now = dict(_digests(said.filter(pl.col("review_id").is_in([name for name, _ in before]))))
    changed = sum(now.get(name) != digest for name, digest in before)
    return newest in now and changed < LARGEST_CHANGE * len(before)


def _probes(said: pl.LazyFrame, reviews: int) -> list[tuple[str, str]]:
    """Return ids and digests of some reviews' keywords, spread over train, the newest last."""
    back = reviews - 1 - pl.col("row").cast(pl.Int64)
    return _digests(said.with_row_index("row").filter(back % max(1, reviews // PROBES) == 0))


def _digests(said: pl.LazyFrame) -> list[tuple[str, str]]:
    rows = said.select("review_id", *KEYWORD_COLUMNS).collect(engine="streaming")
    return [
        (name, hashlib.sha256(json.dumps(kinds).encode()).hexdigest()[:16])
        for name, *kinds in rows.iter_rows()
    ]


def _read(path: Path) -> dict[str, Any] | None:
    """Return what is kept; None where nothing is, or not what was written."""
    if not path.exists():
        return None
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        if given.pop("check") == _check(given):
            return dict(given)
    except ODD_JSON:
        pass
    LOG.warning("%s is damaged: dropped, and made anew", path)
    return None


def _check(given: Mapping[str, Any]) -> str:
    return hashlib.sha256(_text(given).encode()).hexdigest()[:16]


def _text(given: Mapping[str, Any]) -> str:
    return json.dumps(given, ensure_ascii=False, sort_keys=True)
