"""An impression: what one answer showed to whom, and what found each item."""

import secrets
import time
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from beauty_rec.recommender.online.experiments.file import DEFAULT_VARIANT

Kind = Literal["recommend", "batch", "search", "similar", "feed", "shadow"]
"""Of an answer; ``shadow``: one that nobody saw."""
MOST_POSITIONS = 100
"""Positions of an answer that are kept; nobody looks further."""


class Impression(NamedTuple):
    """A shown answer, as a row of ``serving_impressions`` but for the size of the catalogue.

    Attributes:
        recommendation_id: 32 hexadecimal digits, which sort by time.
        order: that the answer was made in.
        items: by position, from 1.
        sources: what found each: the source that ranks it best, or what the answer is sorted by.
        experiment: that the variant is of; None: of none.
        propensities: how probable each item was at its place; None: nothing was left to chance.
        shadow_of: the answer that was shown, of one that was not.
    """

    recommendation_id: str
    time_ms: int
    user_id: str | None
    kind: Kind
    version: str
    variant: str
    order: str
    items: list[str]
    sources: list[str]
    experiment: str | None = None
    propensities: list[float] | None = None
    shadow_of: str | None = None

    def position(self, parent_asin: str) -> int | None:
        """Return where an item stood, from 1; None where it was not shown."""
        return self.items.index(parent_asin) + 1 if parent_asin in self.items else None


def new_id(time_ms: int) -> str:
    """Return an id that nobody can guess: 48 bits of time, 80 of chance (as UUIDv7, RFC 9562)."""
    return f"{time_ms:012x}{secrets.token_hex(10)}"


def impression_of(answer: Mapping[str, Any], kind: Kind, user_id: str | None) -> Impression:
    """Return what ``answer`` shows; a version, an order and its items are read from it.

    Items on shelves are taken from the first to the last shelf.
    """
    now = int(time.time() * 1000)
    shelved = (item for shelf in answer.get("shelves", ()) for item in shelf["items"])
    items = [*answer["items"], *shelved][:MOST_POSITIONS]
    order = answer["order"]
    return Impression(
        new_id(now),
        now,
        user_id,
        kind,
        answer["version"],
        answer.get("variant") or DEFAULT_VARIANT,
        order,
        [item["parent_asin"] for item in items],
        [_found_by(item, order) for item in items],
        answer.get("experiment"),
        [item["propensity"] for item in items] if items and "propensity" in items[0] else None,
    )


def _found_by(item: Mapping[str, Any], order: str) -> str:
    """Return the source that ranks an item best; of several the first, in the sources' order."""
    best, least = order, None
    for name, standing in (item.get("sources") or {}).items():
        if least is None or standing["rank"] < least:
            best, least = name, standing["rank"]
    return best
