"""What a request means to a shop: its past, its question, what is left out, the rules of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from beauty_rec.events.arrays import DAY_MS
from beauty_rec.ranking.features.build import Query
from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.online.events import meaning_of
from beauty_rec.recommender.online.people import Past, together
from beauty_rec.recommender.online.reasons import profile_columns
from beauty_rec.recommender.online.requests import PastItem, RecommendRequest
from beauty_rec.recommender.online.rules.apply import Ruling, ShopRules
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.sources import TEXT_SOURCES
from beauty_rec.settings import EventSettings
from beauty_rec.towers.users.inputs import plain_requests

HOUR_MS = 3_600_000
DEFAULTS = EventSettings()


@dataclass(frozen=True)
class Understood:
    """One request, and what of it is known here.

    Attributes:
        past: the events that count, oldest first.
        seen: rows of the items that are left out.
        notes: what of the request could not be used.
        ruling: the shop's rules that speak of it.
    """

    request: RecommendRequest
    query: Query
    past: list[Past]
    seen: NDArray[np.int64]
    notes: list[str]
    ruling: Ruling | None = None


def understand(
    shop: Snapshot, request: RecommendRequest, settings: EventSettings = DEFAULTS
) -> Understood:
    """Return what a request means here."""
    now = int(time.time() * 1000) // HOUR_MS * HOUR_MS  # of one hour, one answer
    at = now if request.at is None else request.at
    notes: list[str] = []
    known, profile = [], {}
    if request.user_id is not None:
        found = shop.past(request.user_id, request.at)
        profile = shop.profile(request.user_id)
        if found is None and not profile:
            notes.append(f"user {request.user_id} is not known: answered without a past")
        known = found or []
    named = [PastItem(parent_asin=e) if isinstance(e, str) else e for e in request.history]
    given = [
        Past(e.parent_asin, e.rating, at - DAY_MS if e.timestamp is None else e.timestamp)
        for e in named
    ]
    done = meaning_of(known, settings)
    past = together([done.past, given]) if known else given
    row_of = shop.space.row_of
    strangers = [e.parent_asin for e in given if e.parent_asin not in row_of]
    if strangers:
        notes.append(f"items that are not known: {', '.join(strangers[:20])}")
    columns = profile_columns(request.profile, _profile_names(shop))
    ignored = sorted(set(request.profile) - set(columns))
    if ignored:
        notes.append(f"profile columns that no model reads: {', '.join(ignored)}")
    context = (request.context or "").strip() or None
    if context is None and set(request.sources) <= set(TEXT_SOURCES):
        need = "needs" if len(request.sources) == 1 else "need"
        notes.append(f"{' and '.join(request.sources)} {need} a context")
    # Only the latest events are read, as in training; an item is seen however long ago.
    seen = [*done.seen, *(e.parent_asin for e in given)] if request.exclude_seen else []
    left_out = (*seen, *request.exclude, *done.hidden)
    rows = [row for name in left_out if (row := row_of.get(name)) is not None]
    latest = past[-shop.path.builder.spec.history_length :]
    query = Query(at, [e.parent_asin for e in latest], context, {**profile, **columns})
    return Understood(request, query, past, np.unique(np.array(rows, dtype=np.int64)), notes)


def ruled(shop: Snapshot, one: Understood, rules: ShopRules) -> Understood:
    """Return a request with the rules that speak of it; what they exclude is as if seen."""
    context = one.query.context
    ruling = rules.ruling(
        one.query.time_ms if one.request.at is not None else int(time.time() * 1000),
        context=bool(context),
        user=one.request.user_id is not None,
        kind=shop.path.kind_of(context),
    )
    if ruling is None:
        return one
    return replace(one, seen=np.concatenate([one.seen, ruling.excluded]), ruling=ruling)


def asks_of(shop: Snapshot, understood: Sequence[Understood]) -> Asks:
    """Return the asks of requests."""
    path, tower = shop.path, shop.path.tower
    texts = [one.query.context for one in understood]
    vectors = np.zeros((len(texts), shop.space.width - shop.space.text_start), np.float32)
    asked = [row for row, text in enumerate(texts) if text]
    encoded = shop.models.contexts([texts[row] or "" for row in asked])
    for row, vector in zip(asked, encoded, strict=True):
        vectors[row] = vector
    row_of, limit = shop.space.row_of, tower.tower.settings.max_history
    queries = [one.query for one in understood]
    requests = plain_requests(
        [
            [
                (row_of.get(e.parent_asin, -1), e.rating,
                 max(0, one.query.time_ms - e.time_ms) / DAY_MS)
                for e in one.past[-limit:]
            ]
            for one in understood
        ],
        [vectors[row] if path.tower_reads(text) and text else None
         for row, text in enumerate(texts)],
        [query.profile for query in queries],
        tower.profiles,
        [query.time_ms for query in queries],
        tower.as_of_ms,
        tower.tower.shape.context,
    )  # fmt: skip
    return Asks(
        queries,
        requests,
        vectors,
        [one.seen for one in understood],
    )


def _profile_names(shop: Snapshot) -> list[str]:
    encoder, spec = shop.path.tower.profiles, shop.path.builder.spec
    return [*encoder.numeric, *encoder.values, *spec.numbers, *spec.labels]
