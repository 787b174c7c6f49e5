"""Recommendations: what a request means, the answer path, rules, and the answer in plain values.

Every step is the pipeline's own code on the requests of a batch; nothing of a model or a feature is
defined here.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beauty_rec.events.arrays import DAY_MS
from beauty_rec.ranking.features.build import Query
from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.diversity import diversify
from beauty_rec.recommender.online.events import meaning_of
from beauty_rec.recommender.online.experiments.explore import Explorer
from beauty_rec.recommender.online.people import Past, together
from beauty_rec.recommender.online.reasons import Reasons, profile_columns
from beauty_rec.recommender.online.requests import PastItem, RecommendRequest
from beauty_rec.recommender.online.rules.apply import Ruling, ShopRules
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.stock.catalogue import Catalogue
from beauty_rec.recommender.path import Ordered
from beauty_rec.recommender.sources import SOURCES, TEXT_SOURCES
from beauty_rec.settings import EventSettings, ServeSettings
from beauty_rec.towers.users.inputs import join_requests, one_request
from beauty_rec.tracing import stage

HOUR_MS = 3_600_000
CARD_FIELDS = (
    "parent_asin", "title", "store", "price", "average_rating", "rating_number", "category",
    "brand", "keywords", "keyword_reviews", "in_stock",
)  # fmt: skip
DEFAULTS = EventSettings()
BRIEF_FIELDS = ("parent_asin", "title", "price", "category", "brand", "keywords")


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


def recommend(
    shop: Snapshot,
    requests: Sequence[RecommendRequest],
    settings: ServeSettings,
    rules: ShopRules | None = None,
    explorer: Explorer | None = None,
) -> list[dict[str, Any]]:
    """Answer ``requests`` together; each answer is a ``Recommendations`` in plain values.

    What a request holds that is not known here (a user, past items) is left out, and said in
    ``notes``. With an ``explorer`` each item has its ``propensity``.

    Raises:
        UnknownFilter: a filter names what no item has.
    """
    answers = ordered(shop, requests, settings, rules)
    with stage("answer"):
        return [_answer(shop, one, found, settings, explorer) for one, found in answers]


def best_of(
    shop: Snapshot,
    requests: Sequence[RecommendRequest],
    settings: ServeSettings,
    rules: ShopRules | None = None,
) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Return rows and scores of the items that :func:`recommend` answers, without all else."""
    found = []
    for one, answer in ordered(shop, requests, settings, rules):
        wanted = settings.diversity if one.request.diversity is None else one.request.diversity
        places, _ = _arranged(shop, one, answer, wanted, [])
        found.append((answer.rows[places], answer.scores[places]))
    return found


def ordered(
    shop: Snapshot,
    requests: Sequence[RecommendRequest],
    settings: ServeSettings,
    rules: ShopRules | None,
) -> list[tuple[Understood, Ordered]]:
    """Return each request as it is understood, and its candidates in the order that is served.

    Raises:
        UnknownFilter: a filter names what no item has.
    """
    understood = [understand(shop, request, settings) for request in requests]
    if rules is not None:
        understood = [_ruled(shop, one, rules) for one in understood]
    depth = max(settings.source_depth, *(request.k for request in requests))
    with stage("encode"):
        asks = asks_of(shop, understood)
    with stage("candidates"):
        found = shop.path.answer(
            asks,
            depth,
            chosen=[one.request.sources for one in understood],
            gone=shop.catalogue.kept_back(out_of_stock=settings.out_of_stock == "hide"),
            allowed=[shop.catalogue.passing(one.request.filters) for one in understood],
            least=[one.request.k for one in understood],
            pinned=[
                [] if one.ruling is None else [rows for _, rows, _ in one.ruling.pins]
                for one in understood
            ],
        )
    with stage("order"):
        return list(zip(understood, found, strict=True))


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
        notes.append(f"{' and '.join(request.sources)} need a context")
    # Only the latest events are read, as in training; an item is seen however long ago.
    seen = [*done.seen, *(e.parent_asin for e in given)] if request.exclude_seen else []
    left_out = (*seen, *request.exclude, *done.hidden)
    rows = [row for name in left_out if (row := row_of.get(name)) is not None]
    latest = past[-shop.path.builder.spec.history_length :]
    query = Query(at, [e.parent_asin for e in latest], context, {**profile, **columns})
    return Understood(request, query, past, np.unique(np.array(rows, dtype=np.int64)), notes)


def _ruled(shop: Snapshot, one: Understood, rules: ShopRules) -> Understood:
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
    requests = [
        one_request(
            [
                (row_of.get(e.parent_asin, -1), e.rating,
                 max(0, one.query.time_ms - e.time_ms) / DAY_MS)
                for e in one.past[-limit:]
            ],
            vectors[row] if path.tower_reads(one.query.context) and one.query.context else None,
            one.query.profile,
            tower.profiles,
            one.query.time_ms,
            tower.as_of_ms,
            tower.tower.shape.context,
        )
        for row, one in enumerate(understood)
    ]  # fmt: skip
    return Asks(
        [one.query for one in understood],
        join_requests(requests),
        vectors,
        [one.seen for one in understood],
    )


def _answer(
    shop: Snapshot,
    one: Understood,
    ordered: Ordered,
    settings: ServeSettings,
    explorer: Explorer | None,
) -> dict[str, Any]:
    request, notes = one.request, list(one.notes)
    wanted = settings.diversity if request.diversity is None else request.diversity
    order, names = _arranged(shop, one, ordered, wanted, notes)
    chosen = None
    if explorer is not None and not (one.ruling and one.ruling.caps):  # chance knows no caps
        moved = [at for at, row in enumerate(ordered.rows.tolist()) if row in names]
        order, chosen = explorer.of(order, len(ordered.rows), moved)
    if not len(order):
        notes.append("no item passes the filters")
    reasons = Reasons(shop.catalogue, shop.space, shop.path.builder, one.query)
    items = [
        {
            **_shown(shop.catalogue, int(ordered.rows[place])),
            "rank": rank,
            "score": float(ordered.scores[place]),
            "probability": _probability(ordered, place),
            "sources": _standing(ordered, place),
            "why": reasons.of(int(ordered.rows[place])),
            "rules": names.get(int(ordered.rows[place]), []),
        }
        for rank, place in enumerate(order.tolist(), 1)
    ]
    if chosen is not None:
        for item, propensity in zip(items, chosen.tolist(), strict=True):
            item["propensity"] = propensity
    return {
        "version": shop.manifest.set,
        "order": ordered.order,
        "items": items,
        "notes": notes,
        "candidates": _candidates(shop, ordered, request.k) if request.stages else None,
    }


def _arranged(
    shop: Snapshot, one: Understood, ordered: Ordered, diversity: float, notes: list[str]
) -> tuple[NDArray[np.int64], dict[int, list[str]]]:
    """Return which of the candidates are answered, in their order, and the rules of each row."""
    k, ruling = one.request.k, one.ruling
    order, names = np.arange(len(ordered.rows)), dict[int, list[str]]()
    if ruling is not None:
        order, names = ruling.moved(ordered.rows)
    if diversity:
        # An item is as relevant as the place that it was moved to.
        varied = diversify(ordered.scores, shop.space.texts(ordered.rows[order]), k, diversity)
        order = np.concatenate([order[varied], np.delete(order, varied)])
    if ruling is None or not (ruling.pins or ruling.caps):
        return order[:k], names
    rows = ordered.rows[order].tolist()
    arranged, said = ruling.arranged(rows, k, shop.catalogue, names)
    notes += said
    place_of = dict(zip(rows, order.tolist(), strict=True))
    return np.array([place_of[row] for row in arranged], np.int64), names


def _probability(ordered: Ordered, place: int) -> float | None:
    return None if ordered.probability is None else float(ordered.probability[place])


def _standing(ordered: Ordered, place: int) -> dict[str, dict[str, float | int]]:
    """Return what each source says of a candidate: its score, and its place among them all."""
    found: dict[str, dict[str, float | int]] = {}
    for column, name in enumerate(SOURCES):
        own = ordered.found.scores[place, column]
        if own == own:
            better = ordered.found.scores[:, column] > own
            found[name] = {"score": float(own), "rank": int(better.sum()) + 1}
    return found


def _candidates(shop: Snapshot, ordered: Ordered, k: int) -> list[dict[str, Any]]:
    """Return the candidates by each source's own order: what the served order was made of."""
    return [
        {
            **{name: card[name] for name in BRIEF_FIELDS},
            "rank": place + 1,
            "sources": _standing(ordered, place),
        }
        for place, card in enumerate(map(shop.catalogue.card, ordered.rows[:k].tolist()))
    ]


def _shown(catalogue: Catalogue, row: int) -> dict[str, Any]:
    card = catalogue.card(row)
    return {name: card[name] for name in CARD_FIELDS}


def _profile_names(shop: Snapshot) -> list[str]:
    encoder, spec = shop.path.tower.profiles, shop.path.builder.spec
    return [*encoder.numeric, *encoder.values, *spec.numbers, *spec.labels]
