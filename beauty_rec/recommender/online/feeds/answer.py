"""Feeds as answers: the items of each, with the figures that put them there."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beauty_rec.corpus.text import clean_text
from beauty_rec.events.arrays import DAY_MS
from beauty_rec.ranking.features.build import Query
from beauty_rec.ranking.features.context_events import FLOOR
from beauty_rec.recommender.online.emptiness import why_nothing_left
from beauty_rec.recommender.online.events import CHOICES, meaning_of
from beauty_rec.recommender.online.feeds.emptiness import why_no_item, why_no_shelf
from beauty_rec.recommender.online.feeds.question import FeedQuestion, UnfitFeed
from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.recommender.online.rules.apply import ShopRules
from beauty_rec.recommender.online.search import UNSHOWN
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.understood import Understood, asks_of
from beauty_rec.recommender.path import kind_of
from beauty_rec.recommender.sources.arrivals import FADES_DAYS
from beauty_rec.recommender.sources.protocol import asks_matrix
from beauty_rec.settings import ServeSettings

DEFAULTS = ServeSettings()
LIKED = 3.0
"""The least rating of a past item that has a shelf."""

Figures = Callable[[int], dict[str, float]]


@dataclass(frozen=True)
class _Asked:
    """A feed's question, and what it may not be answered with.

    Attributes:
        hidden: rows, bool ``[N]``.
        unwanted: items that the user never wants to see, as the head of a shelf either.
    """

    shop: Snapshot
    question: FeedQuestion
    hidden: NDArray[np.bool_]
    unwanted: frozenset[str]
    now_ms: int

    def listed(
        self, rows: NDArray[np.int64], scores: NDArray[np.float64], figures: Figures
    ) -> list[dict[str, Any]]:
        """Return the ``k`` best of ``rows`` as hits; of equal scores the latest row comes first.

        Args:
            rows: distinct rows of the item space; -1 for none.
            scores: of each.
            figures: place in ``rows`` → what is said of it.
        """
        places = np.flatnonzero((rows >= 0) & ~self.hidden[rows])
        best = places[np.lexsort((-rows[places], -scores[places]))][: self.question.k]
        return [
            {
                **_card(self.shop, int(rows[place])),
                "rank": rank,
                "score": float(scores[place]),
                "figures": {name: round(float(v), 6) for name, v in figures(int(place)).items()},
            }
            for rank, place in enumerate(best.tolist(), 1)
        ]


def feed(
    shop: Snapshot,
    question: FeedQuestion,
    rules: ShopRules | None = None,
    settings: ServeSettings = DEFAULTS,
) -> dict[str, Any]:
    """Return a ``Feed`` in plain values.

    Items that are gone, that the user has seen, that do not pass the filters or that a rule
    excludes are in none.

    Raises:
        UnknownFilter: a filter names what no item has.
        UnfitFeed: the item or the occasion that it is about is not known.
    """
    now, notes, unwanted = int(time.time() * 1000), list[str](), frozenset[str]()
    kept_back = shop.catalogue.kept_back(out_of_stock=settings.out_of_stock == "hide")
    allowed = shop.catalogue.passing(question.filters)
    left_out = np.zeros(0, np.int64)
    if question.user_id is not None:
        past = shop.past(question.user_id, None)
        if past is None:
            notes.append(f"user {question.user_id} is not known: answered without a past")
        done = meaning_of(past or [], settings)
        unwanted = done.hidden
        left_out = _rows(shop, [*done.seen, *unwanted])
    if rules is not None:
        path, context = shop.path, question.context
        ruling = rules.ruling(
            now,
            context=context is not None,
            user=question.user_id is not None,
            kind=kind_of(context, path.table, path.reads_texts),
        )
        if ruling is not None:
            left_out = np.concatenate([left_out, ruling.excluded])
    hidden = np.zeros(shop.catalogue.rows, bool) if allowed is None else ~allowed
    hidden[kept_back] = hidden[left_out] = True
    asked = _Asked(shop, question, hidden, unwanted, now)
    of_shelves = question.feed == "because-you-bought"
    shelves = _because(asked, notes) if of_shelves else []
    items = [] if of_shelves else _LISTS[question.feed](asked)
    if not of_shelves and not items:
        nothing_left = why_nothing_left(shop.catalogue, kept_back, allowed, left_out)
        about, tallies = question.parent_asin, shop.people.tallies
        notes.append(why_no_item(question.feed, about, tallies, nothing_left))
    return {
        "version": shop.manifest.set,
        "order": question.feed,
        "items": items,
        "shelves": shelves,
        "notes": notes,
    }


def _trending(asked: _Asked) -> list[dict[str, Any]]:
    shop = asked.shop
    found = shop.people.tallies.trends(
        (event.parent_asin, event.time_ms)
        for event in shop.people.news(shop.since)
        if event.type in CHOICES
    )
    risen = np.flatnonzero(found.recent > found.usual)
    rows = shop.space.rows([found.names[place] for place in risen.tolist()])
    return asked.listed(
        rows,
        found.excess[risen],
        lambda place: {
            "recent": found.recent[risen[place]],
            "usual": found.usual[risen[place]],
        },
    )


def _new_arrivals(asked: _Asked) -> list[dict[str, Any]]:
    """Of all events of the set: the item table may count those of train alone."""
    tallies, space = asked.shop.people.tallies, asked.shop.space
    rows = space.rows(tallies.names)
    age = np.full(len(space), -1.0)
    here = rows >= 0
    age[rows[here]] = np.maximum(asked.now_ms - tallies.first_ms[here], 0) / DAY_MS
    scores = np.where(age < 0, 1.0, np.exp(-age / FADES_DAYS))
    return asked.listed(
        np.arange(len(space)),
        scores,
        lambda place: {} if age[place] < 0 else {"days_since_first_sold": age[place]},
    )


def _popular(asked: _Asked) -> list[dict[str, Any]]:
    context = clean_text(asked.question.context or "") or None
    known = asked.shop.path.table.context_row_of
    if context is not None and context.lower() not in known:
        near = get_close_matches(context.lower(), list(known), 5, 0) or ["none"]
        raise UnfitFeed("context", f"no occasion {context!r}; the nearest are {', '.join(near)}")
    rows, scores = _in_all(asked) if context is None else _within(asked, context)
    sold = np.flatnonzero(scores > 1e-6)
    return asked.listed(rows[sold], scores[sold], lambda place: {})


def _bought_together(asked: _Asked) -> list[dict[str, Any]]:
    name = asked.question.parent_asin or ""
    if name not in asked.shop.space.row_of:
        raise UnfitFeed("parent_asin", asked.shop.unknown(name))
    return _company(asked, name)


def _because(asked: _Asked, notes: list[str]) -> list[dict[str, Any]]:
    """Return a shelf for each of the user's latest liked items; an item is on one shelf alone.

    Where there is none, ``notes`` get the reason.
    """
    shop, shelves = asked.shop, list[dict[str, Any]]()
    past = shop.past(asked.question.user_id or "", None)
    taken = [
        event
        for event in reversed(past or [])
        if event.type in CHOICES and event.parent_asin not in asked.unwanted
    ]
    liked = dict.fromkeys(event.parent_asin for event in taken if event.rating >= LIKED)
    for name in liked:
        row = shop.space.row_of.get(name)
        if len(shelves) == asked.question.shelves:
            break
        if row is None or shop.catalogue.hidden[row] or not (items := _company(asked, name)):
            continue
        asked.hidden[_rows(shop, [item["parent_asin"] for item in items])] = True
        shelves.append({"because": _card(shop, row), "items": items})
    if not shelves and past is not None:  # of a stranger it is said already
        notes.append(why_no_shelf(taken, liked, shop.people.tallies, LIKED))
    return shelves


def _company(asked: _Asked, name: str) -> list[dict[str, Any]]:
    found = asked.shop.people.tallies.together(name)
    rows = asked.shop.space.rows(found.names)
    rows[rows == asked.shop.space.row_of[name]] = -1
    lift, users = found.lift, found.users
    return asked.listed(
        rows,
        found.score,
        lambda place: {
            "users": users[place],
            "support": users[place] / max(found.everybody, 1),
            "confidence": users[place] / max(found.own, 1),
            "lift": lift[place],
        },
    )


def _in_all(asked: _Asked) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the rows of what was ever sold, and how much of late, of all events of the set."""
    shop = asked.shop
    tallies = shop.people.tallies
    sold = tallies.sold(shop.path.tower.popular_half_life_days)
    return shop.space.rows(tallies.names), np.log1p(sold / FLOOR)


def _within(asked: _Asked, context: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return all rows, and what is popular within an occasion: the people's events tell none."""
    shop = asked.shop
    source = next(source for source in shop.path.sources if source.name == "popular")
    assert not asks_matrix(source)
    query = Query(asked.now_ms, [], context, {})
    nobody = Understood(RecommendRequest(), query, [], np.zeros(0, np.int64), [])
    scores = source.scores(asks_of(shop, [nobody]), shop.space)[0]
    return np.arange(len(scores)), scores.astype(np.float64)


def _rows(shop: Snapshot, names: Sequence[str]) -> NDArray[np.int64]:
    rows = shop.space.rows(names)
    return rows[rows >= 0]


def _card(shop: Snapshot, row: int) -> dict[str, Any]:
    return {n: v for n, v in shop.catalogue.card(row).items() if n not in UNSHOWN}


_LISTS: dict[str, Callable[[_Asked], list[dict[str, Any]]]] = {
    "trending": _trending,
    "new-arrivals": _new_arrivals,
    "popular": _popular,
    "bought-together": _bought_together,
}
