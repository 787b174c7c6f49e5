"""The known id that is most like one that is not known, for who mistyped it."""

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

SHORTLIST = 500
"""Ids that are compared sign by sign; a catalogue has many more."""
ENDS = 3


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the id of ``known`` that looks most like ``name``; None where none does.

    Those that begin or end like it are compared, letters of either case being one.
    """
    plain = name.strip().casefold()
    head, tail = plain[:ENDS], plain[-ENDS:]
    alike = {}
    for each in known:
        folded = each.casefold()
        if folded == plain:
            return each
        if folded.startswith(head) or folded.endswith(tail):
            alike[folded] = each
    # The longest common beginning says most, of thousands that begin alike.
    shortlist = sorted(alike, key=lambda each: -_common(each, plain))
    found = get_close_matches(plain, list(islice(shortlist, SHORTLIST)), 1)
    return alike[found[0]] if found else None


def _common(one: str, other: str) -> int:
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))
