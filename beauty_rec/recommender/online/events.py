"""What the events of a user mean for an answer: the one place that decides it.

| event | in the past, with a weight | left out of answers |
|:--|:--|:--|
| `rating` | by its own stars | as seen |
| `purchase` | its stars, 5 unless given, by `serve.purchase_weight` | as seen |
| `cart`, `click`, `view` | the same by their own weights, one event an item | no |
| `hide` | never, nor any other event with the item | always |

Which of them count as seen is `serve.seen_events`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import get_args

from pydantic_core import PydanticCustomError

from beauty_rec.recommender.online.people import Past
from beauty_rec.settings import EventSettings, EventType

EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
LOOKS: tuple[EventType, ...] = ("view", "click", "cart")
"""What people do many times on the way to one choice."""
CLICKS: tuple[EventType, ...] = ("click", "cart", "purchase")
"""Events that show that a shown item was gone to: the numerator of the click-through rate."""
CONVERSIONS: tuple[EventType, ...] = ("purchase",)
CHOICES: tuple[EventType, ...] = ("rating", "purchase")
"""Events that say what is taken, as reviews do: models and feeds learn from them alone."""
LEAST_RATING = 1.0
MOST_SAID = 40
"""Characters of a type that is none which are read and said: it may be of any length."""


@dataclass(frozen=True)
class Meaning:
    """What a user's events mean.

    Attributes:
        past: those that count as the user's past, oldest first, each with the rating that it is
            worth.
        seen: items that were dealt with, with repeats.
        hidden: items that are never shown to the user.
    """

    past: list[Past]
    seen: list[str]
    hidden: frozenset[str]


def meaning_of(events: Sequence[Past], settings: EventSettings) -> Meaning:
    """Return what ``events``, oldest first, mean."""
    if all(event.type == "rating" for event in events) and "rating" in settings.seen_events:
        return Meaning(list(events), [event.parent_asin for event in events], frozenset())
    hidden = frozenset(event.parent_asin for event in events if event.type == "hide")
    shown = [event for event in events if event.parent_asin not in hidden]
    past = []
    for event, counts in zip(shown, _strongest(shown, settings), strict=True):
        worth = event.rating * weight_of(event.type, settings)
        if counts and worth > 0:
            past.append(event._replace(rating=max(LEAST_RATING, worth)))
    seen = [event.parent_asin for event in shown if event.type in settings.seen_events]
    return Meaning(past, seen, hidden)


def weight_of(kind: EventType, settings: EventSettings) -> float:
    """Return the share of its rating that an event of a kind is worth."""
    weights: dict[EventType, float] = {
        "view": settings.view_weight,
        "click": settings.click_weight,
        "cart": settings.cart_weight,
        "purchase": settings.purchase_weight,
        "rating": 1.0,
        "hide": 0.0,
    }
    return weights[kind]


def known_type(value: object) -> object:
    """Return a type of event as it is.

    Raises:
        PydanticCustomError: a text that is none; it names the nearest ones.
    """
    if not isinstance(value, str) or value in EVENT_TYPES:
        return value
    near = get_close_matches(value[:MOST_SAID].strip().lower(), EVENT_TYPES, n=2, cutoff=0.4)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    raise PydanticCustomError(
        "event_type",
        "{given} is no type of event{meant} There are {known}",
        {"given": repr(value[:MOST_SAID]), "meant": meant or ".", "known": ", ".join(EVENT_TYPES)},
    )


def _strongest(events: Sequence[Past], settings: EventSettings) -> list[bool]:
    """Tell which events count: of an item's looks the latest of the strongest kind, all others.

    A look at an item that was also taken says nothing more.
    """
    best: dict[str, tuple[float, int]] = {}
    for place, event in enumerate(events):
        weight = weight_of(event.type, settings) if event.type in LOOKS else float("inf")
        best[event.parent_asin] = max(best.get(event.parent_asin, (0.0, -1)), (weight, place))
    return [
        event.type not in LOOKS or best[event.parent_asin][1] == place
        for place, event in enumerate(events)
    ]
