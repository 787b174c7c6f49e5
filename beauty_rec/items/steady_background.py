"""A word background that stands still while train grows a little.

Every new review moves the frequency of a few words, and with them the order of keywords in the
texts of items that nobody said anything new of: on the All_Beauty slice 1% more reviews changed
20% of these texts, each to be embedded anew for nothing. So the background is kept, and made anew
when train has changed by a tenth or the keywords come from elsewhere.
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.items.keyword_ranking import WordBackground
from beauty_rec.items.text import word_background

LOG = logging.getLogger("beauty_rec.cache")
LARGEST_CHANGE = 0.1
"""Share of the reviews that the background counts."""


def steady_background(path: Path, keywords: pl.DataFrame | pl.LazyFrame) -> WordBackground:
    """Return the background kept at ``path``; make it anew, and keep that, when it is outgrown.

    Args:
        path: a JSON file; need not exist.
        keywords: of train: ``who``, ``when``, ``why``, ``source``.
    """
    read = keywords.lazy().group_by("source").len().collect(engine="streaming")
    sources, reviews = sorted(read["source"]), int(read["len"].sum())
    given = _read(path)
    if given is not None:
        change = abs(reviews - given["reviews"])
        if given["sources"] == sources and change < LARGEST_CHANGE * given["reviews"]:
            kept = WordBackground([])
            kept.reviews, kept.frequency = given["reviews"], Counter(given["frequency"])
            return kept
    made = word_background(keywords)
    given = {"reviews": made.reviews, "sources": sources, "frequency": made.frequency}
    write_text_atomic(path, _text({**given, "check": _check(given)}))
    return made


def _read(path: Path) -> dict[str, Any] | None:
    """Return what is kept; None where nothing is, or not what was written."""
    if not path.exists():
        return None
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        if given.pop("check") == _check(given):
            return dict(given)
    except (ValueError, KeyError, AttributeError, TypeError):
        pass
    LOG.warning("%s is damaged: dropped, and made anew", path)
    return None


def _check(given: Mapping[str, Any]) -> str:
    return hashlib.sha256(_text(given).encode()).hexdigest()[:16]


def _text(given: Mapping[str, Any]) -> str:
    return json.dumps(given, ensure_ascii=False, sort_keys=True)
