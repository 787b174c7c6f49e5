"""A category for items whose `categories` is empty, by the words of `categories.toml`.

>>> categorize("Forever Red Lipstick for Sensitive Skin", [], {})
Category(name='Lipstick', source='rules')
>>> categorize("Gift card", [], {})
Category(name=None, source='none')
"""

import re
import tomllib
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

_TABLE = Path(__file__).with_name("categories.toml")
_TOKEN = re.compile(r"[^\W_]+|[&(]")
_MAX_TITLE_CHARS = 300
_MAX_FEATURE_CHARS = 600
_TITLE_WEIGHT = 3.0
_DETAIL_WEIGHT = 3.0
_FEATURE_WEIGHT = 1.0
# "Conditioner for Fine Hair (with Argan Oil)": what follows says whom it is for or what it holds.
_ASIDES = {
    "for",
    "with",
    "from",
    "in",
    "by",
    "of",
    "after",
    "without",
    "includes",
    "including",
    "(",
}
_ASIDE_SHARE = 0.3
_MODIFIER_SHARE = 0.5
_SEGMENT_DECAY = 0.7
_DETAIL_FIELDS = ("Product Form", "Item Form", "Product Type", "Special Use", "Type")


class Category(NamedTuple):
    """A category and what it rests on; ``name`` is None when the source is "none"."""

    name: str | None
    source: Literal["categories", "rules", "none"]


def categorize(title: str, features: Sequence[str], details: Mapping[str, Any]) -> Category:
    """Return the category that the words of an item speak for most.

    A term counts by its length in words; in the title more than in the features, in the title's
    head more than behind "for" or "with", in its first part (up to a comma or bar) more than in
    later ones, and less right before another term ("moisturizing cream lipstick" is a lipstick).
    Of equals, the one named first wins.
    """
    scores: dict[str, float] = defaultdict(float)
    for category, weight in _evidence(title, features, details):
        scores[category] += weight
    if not scores:
        return Category(None, "none")
    return Category(max(scores, key=lambda name: scores[name]), "rules")


@lru_cache(maxsize=1)
def departments() -> dict[str, list[str]]:
    """Return the categories of every department, as the table lists them."""
    return {department: list(table) for department, table in _table().items()}


def _evidence(
    title: str, features: Sequence[str], details: Mapping[str, Any]
) -> Iterator[tuple[str, float]]:
    weight = _TITLE_WEIGHT
    for part in re.split(r"[,|;–—]| - ", title[:_MAX_TITLE_CHARS]):
        tokens = _tokens(part)
        aside = next((i for i, token in enumerate(tokens) if token in _ASIDES), len(tokens))
        mentions = list(_mentions(tokens))
        starts = {start for _, start, _ in mentions}
        for category, start, end in mentions:
            share = _ASIDE_SHARE if start > aside else 1.0
            if end in starts:
                share *= _MODIFIER_SHARE
            yield category, _worth(start, end) * weight * share
        weight *= _SEGMENT_DECAY
    for name in _DETAIL_FIELDS:
        if isinstance(value := details.get(name), str):
            for category, start, end in _mentions(_tokens(value[:_MAX_FEATURE_CHARS])):
                yield category, _worth(start, end) * _DETAIL_WEIGHT
    text = " . ".join(features)[:_MAX_FEATURE_CHARS]
    for category in dict.fromkeys(category for category, _, _ in _mentions(_tokens(text))):
        yield category, _FEATURE_WEIGHT


def _worth(start: int, end: int) -> float:
    return 1 + 0.5 * (end - start - 1)


def _tokens(text: str) -> list[str]:
    """Lower-case words without accents; "&" and "(" are tokens too."""
    plain = unicodedata.normalize("NFKD", text) if not text.isascii() else text
    return _TOKEN.findall("".join(c for c in plain.lower() if not unicodedata.combining(c)))


def _mentions(tokens: list[str]) -> Iterator[tuple[str, int, int]]:
    """Yield (category, first token, end) of every term of the table, longest first, no overlap."""
    terms, longest = _terms()
    start = 0
    while start < len(tokens):
        for end in range(min(start + longest, len(tokens)), start, -1):
            category = _look_up(terms, " ".join(tokens[start:end]))
            if category is not None:
                yield category, start, end
                start = end
                break
        else:
            start += 1


def _look_up(terms: Mapping[str, str], term: str) -> str | None:
    """Find a term as it is, or without its plural ending."""
    for ending in ("", "s", "es"):
        if term.endswith(ending) and (found := terms.get(term.removesuffix(ending))):
            return found
    return None


@lru_cache(maxsize=1)
def _terms() -> tuple[dict[str, str], int]:
    """Return the category of every term, and the longest term's length in tokens."""
    terms = {
        " ".join(_tokens(word)): category
        for table in _table().values()
        for category, words in table.items()
        for word in words
    }
    return terms, max(term.count(" ") + 1 for term in terms)


@lru_cache(maxsize=1)
def _table() -> dict[str, dict[str, list[str]]]:
    with _TABLE.open("rb") as file:
        return tomllib.load(file)
