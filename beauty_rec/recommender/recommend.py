"""Answers: candidates of two retrievers, fused, filtered, reranked, diversified, explained.

Every step is the pipeline's own code on the requests of a batch; nothing of a model or a feature is
defined here.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.events.arrays import DAY_MS
from beauty_rec.ranking.features.build import Candidates, Query
from beauty_rec.recommender.catalogue import Catalogue, Filters
from beauty_rec.recommender.fusion import diversify, reciprocal_ranks
from beauty_rec.recommender.people import Past, together
from beauty_rec.recommender.reasons import Reasons, profile_columns
from beauty_rec.recommender.requests import PastItem, RecommendRequest
from beauty_rec.recommender.snapshot import World
from beauty_rec.retriever.contexts import TOP, text_ranks
from beauty_rec.search.top import leading
from beauty_rec.settings import ServeSettings
from beauty_rec.towers.users.inputs import Requests, join_requests, one_request
from beauty_rec.towers.users.item_matrix import ItemMatrix
from beauty_rec.towers.users.search import tower_ranks

HOUR_MS = 3_600_000
RANKS_KEPT = 1_024
"""A text candidate beyond this place of the user tower's order has the place after it."""
CARD_FIELDS = (
    "parent_asin", "title", "store", "price", "average_rating", "rating_number", "category",
    "brand", "keywords", "keyword_reviews",
)  # fmt: skip


@dataclass
class _Ask:
    """One request on its way."""

    request: RecommendRequest
    query: Query
    past: list[Past]
    seen: NDArray[np.int64]
    notes: list[str]
    context: NDArray[np.float32] | None = None
    rows: NDArray[np.int64] = field(init=False)
    fused: NDArray[np.float64] = field(init=False)
    retrieval: NDArray[np.float32] = field(init=False)


def recommend(
    world: World, requests: Sequence[RecommendRequest], settings: ServeSettings
) -> list[dict[str, Any]]:
    """Answer ``requests`` from ``world``, together; each is a ``Recommendations`` in plain values.

    What a request holds that is not known here (a user, past items) is left out, and said in
    ``notes``.
    """
    asks = [_understand(world, request) for request in requests]
    texts = [(a, a.query.context) for a in asks if a.query.context]
    for (ask, _), vector in zip(texts, world.models.contexts([t for _, t in texts]), strict=True):
        ask.context = vector
    _find(world, asks, settings)
    probabilities = _rerank(world, asks)
    return [
        _answer(world, ask, scores, settings)
        for ask, scores in zip(asks, probabilities, strict=True)
    ]


def _understand(world: World, request: RecommendRequest) -> _Ask:
    now = int(time.time() * 1000) // HOUR_MS * HOUR_MS  # of one hour, one answer
    at = now if request.at is None else request.at
    notes: list[str] = []
    known, profile = [], {}
    if request.user_id is not None:
        found = world.past(request.user_id, request.at)
        profile = world.people.profile(request.user_id)
        if found is None and not profile:
            notes.append(f"user {request.user_id} is not known: answered without a past")
        known = found or []
    given = [PastItem(parent_asin=e) if isinstance(e, str) else e for e in request.history]
    told = [
        Past(e.parent_asin, e.rating, at - DAY_MS if e.timestamp is None else e.timestamp)
        for e in given
    ]
    past = together([known, told]) if known else told
    row_of = world.catalogue.row_of
    strangers = [e.parent_asin for e in told if e.parent_asin not in row_of]
    if strangers:
        notes.append(f"items that are not known: {', '.join(strangers[:20])}")
    told_profile = profile_columns(request.profile, _profile_names(world))
    ignored = sorted(set(request.profile) - set(told_profile))
    if ignored:
        notes.append(f"profile columns that no model reads: {', '.join(ignored)}")
    context = (request.context or "").strip() or None
    if context is None and request.sources == ["text_retriever"]:
        notes.append("the text retriever needs a context")
    # Only the latest events are read, as in training; an item is seen however long ago.
    seen = [e.parent_asin for e in past] if request.exclude_seen else []
    rows = [row for name in (*seen, *request.exclude) if (row := row_of.get(name)) is not None]
    query = Query(
        at,
        [e.parent_asin for e in past[-world.builder.spec.history_length :]],
        context,
        {**profile, **told_profile},
    )
    return _Ask(request, query, past, np.unique(np.array(rows, dtype=np.int64)), notes)


def _find(world: World, asks: Sequence[_Ask], settings: ServeSettings) -> None:
    """Fill in the candidates: of both retrievers, fused, with their scores and ranks."""
    catalogue = world.catalogue
    users = _user_queries(world, asks)
    texts = [_text_query(catalogue, ask.context) for ask in asks]
    asked = [(users[i], i) for i in range(len(asks))]
    asked += [(t, i) for i, t in enumerate(texts) if t is not None]
    scores = catalogue.scores(np.stack([query for query, _ in asked]))
    scores[:, torch.from_numpy(catalogue.gone)] = -torch.inf
    text_row = {i: row for row, (_, i) in enumerate(asked) if row >= len(asks)}
    for i, ask in enumerate(asks):
        filters = Filters(**ask.request.filters.model_dump())
        depth = max(settings.source_depth, ask.request.k)
        tower = _ask_tower(catalogue, scores[i], users[i], ask.seen, filters, depth)
        text = None
        if (query := texts[i]) is not None:
            text = _ask_texts(catalogue, scores[text_row[i]], query, ask.seen, filters, depth)
        found = {"user_tower": tower, "text_retriever": text}
        lists = [f.rows for name in ask.request.sources if (f := found[name]) is not None]
        rows, fused = reciprocal_ranks(lists, settings.rrf_k)
        keep = max(settings.rerank, ask.request.k)
        ask.rows, ask.fused = rows[:keep], fused[:keep]
        ask.retrieval = _retrieval(catalogue, ask.rows, tower, text)


class _Found(NamedTuple):
    """What a retriever says.

    ``rows``: the candidates, best first. ``best``: the best scores without filters, falling, that
    ranks are told among.
    """

    query: NDArray[np.float32]
    rows: NDArray[np.int64]
    best: NDArray[np.float32]


def _ask_tower(
    catalogue: Catalogue,
    scores: torch.Tensor,
    query: NDArray[np.float32],
    seen: NDArray[np.int64],
    filters: Filters,
    depth: int,
) -> _Found:
    """Return the ``depth`` best unseen rows that pass; ranks are those among all unseen items.

    So a filter changes which items are answered, and not their scores.
    """
    scores[torch.from_numpy(seen)] = -torch.inf
    best = leading(scores, RANKS_KEPT)[1].numpy()
    rows = _passing(catalogue, scores, query, filters, depth)
    if rows is None:
        rows, _ = catalogue.best(scores, query, depth)
    return _Found(query, rows, best[np.isfinite(best)])


def _ask_texts(
    catalogue: Catalogue,
    scores: torch.Tensor,
    query: NDArray[np.float32],
    seen: NDArray[np.int64],
    filters: Filters,
    depth: int,
) -> _Found:
    """Likewise for a text; its ranks are those among all items, as in training."""
    scores[torch.from_numpy(~catalogue.has_text[: len(catalogue.ids)])] = -torch.inf
    _, best = catalogue.best(scores, query, TOP)
    scores[torch.from_numpy(seen)] = -torch.inf
    rows = _passing(catalogue, scores, query, filters, depth)
    if rows is None:
        rows, _ = catalogue.best(scores, query, depth)
    return _Found(query, rows, best)


def _passing(
    catalogue: Catalogue,
    scores: torch.Tensor,
    query: NDArray[np.float32],
    filters: Filters,
    depth: int,
) -> NDArray[np.int64] | None:
    mask = catalogue.passing(filters)
    if mask is None:
        return None
    scores[torch.from_numpy(~mask)] = -torch.inf
    return catalogue.best(scores, query, depth)[0]


def _retrieval(
    catalogue: Catalogue, rows: NDArray[np.int64], tower: _Found, text: _Found | None
) -> NDArray[np.float32]:
    """Return tower score and rank, text score and rank of the candidates, float32 ``[C, 4]``.

    An item that only the text retriever found has the score that the user tower gives it, which
    knows all items.
    """
    out = np.full((len(rows), 4), np.nan, np.float32)
    out[:, 0] = catalogue.exact(rows, tower.query)
    out[:, 1] = tower_ranks(tower.best, out[:, 0])
    if text is not None:
        known = catalogue.has_text[rows]
        scores = catalogue.exact(rows[known], text.query)
        out[known, 2] = scores
        out[known, 3] = text_ranks(text.best, scores)
    return out


def _rerank(world: World, asks: Sequence[_Ask]) -> list[NDArray[np.float32]]:
    """Return the probabilities of each request's candidates."""
    counts = [len(ask.rows) for ask in asks]
    if not sum(counts):
        return [np.zeros(0, np.float32) for _ in asks]
    ids = world.catalogue.ids
    candidates = Candidates(
        np.repeat(np.arange(len(asks)), counts),
        [ids[row] for ask in asks for row in ask.rows.tolist()],
        np.concatenate([ask.retrieval for ask in asks]),
    )
    features = world.builder.build([ask.query for ask in asks], candidates)
    scores = world.models.reranker.probabilities(features)
    return np.split(scores, np.cumsum(counts)[:-1])


def _answer(
    world: World, ask: _Ask, scores: NDArray[np.float32], settings: ServeSettings
) -> dict[str, Any]:
    catalogue, request = world.catalogue, ask.request
    order = by_score = np.lexsort((np.arange(len(scores)), -scores))
    wanted = settings.diversity if request.diversity is None else request.diversity
    if wanted:
        chosen = diversify(scores[order], catalogue.texts(ask.rows[order]), request.k, wanted)
        order = order[chosen]
    order = order[: request.k]
    notes = list(ask.notes)
    if not len(order):
        notes.append("no item passes the filters")
    reasons = Reasons(catalogue, world.builder, ask.query) if len(order) else None
    items = [
        {
            **_shown(catalogue, int(ask.rows[place])),
            "rank": rank,
            "score": float(scores[place]),
            "candidate": _standing(ask, place),
            "why": reasons.of(int(ask.rows[place])) if reasons else [],
        }
        for rank, place in enumerate(order.tolist(), 1)
    ]
    answer = {"version": world.manifest.set, "items": items, "notes": notes, "candidates": None}
    if request.stages:
        place = np.empty(len(scores), np.int64)
        place[by_score] = np.arange(1, len(scores) + 1)
        answer["candidates"] = [
            {
                **{n: catalogue.card(row)[n] for n in ("parent_asin", "title", "price")},
                "rank": rank,
                "fused_score": float(ask.fused[rank - 1]),
                "reranked": int(place[rank - 1]),
            }
            for rank, row in enumerate(ask.rows[: request.k].tolist(), 1)
        ]
    return answer


def _standing(ask: _Ask, place: int) -> dict[str, Any]:
    tower, tower_rank, text, text_rank = ask.retrieval[place].tolist()
    return {
        "rank": place + 1,
        "fused_score": float(ask.fused[place]),
        "tower_rank": tower_rank,
        "tower_score": tower,
        "text_rank": None if text_rank != text_rank else text_rank,
        "text_score": None if text != text else text,
    }


def _shown(catalogue: Catalogue, row: int) -> dict[str, Any]:
    card = catalogue.card(row)
    return {name: card[name] for name in CARD_FIELDS}


def _user_queries(world: World, asks: Sequence[_Ask]) -> NDArray[np.float32]:
    """Return float32 ``[B, W]``, the user vectors over all columns of the catalogue."""
    tower, catalogue = world.models.tower, world.catalogue
    limit = tower.tower.settings.max_history
    pasts = [
        [(catalogue.row_of.get(e.parent_asin, -1), e) for e in ask.past[-limit:]] for ask in asks
    ]
    rows = np.unique([row for past in pasts for row, _ in past if row >= 0]).astype(np.int64)
    place = {int(row): i for i, row in enumerate(rows)}
    requests: list[Requests] = [
        one_request(
            [
                (place.get(row, -1), e.rating, max(0, ask.query.time_ms - e.time_ms) / DAY_MS)
                for row, e in past
            ],
            ask.context,
            ask.query.profile,
            tower.profiles,
            ask.query.time_ms,
            tower.as_of_ms,
            tower.tower.shape.context,
        )
        for ask, past in zip(asks, pasts, strict=True)
    ]
    # The tower looks up the rows of the past alone: give it those, not the whole matrix.
    items = tower.items
    width = items.tower + items.statistics + items.text
    local = catalogue.vectors(rows)[:, :width] if len(rows) else np.zeros((1, width), np.float32)
    names = [catalogue.ids[row] for row in rows] if len(rows) else [""]
    near = replace(
        tower,
        items=ItemMatrix(
            Vectors(names, local), items.tower, items.statistics, items.text, items.as_of_ms
        ),
    )
    vectors = near.user_vectors(join_requests(requests))
    missing = catalogue.matrix.shape[1] - vectors.shape[1]  # of texts that the tower does not read
    return np.pad(vectors, ((0, 0), (0, missing)))


def _text_query(
    catalogue: Catalogue, context: NDArray[np.float32] | None
) -> NDArray[np.float32] | None:
    if context is None:
        return None
    return np.concatenate([np.zeros(catalogue.text_start, np.float32), context])


def _profile_names(world: World) -> list[str]:
    encoder, spec = world.models.tower.profiles, world.builder.spec
    return [*encoder.numeric, *encoder.values, *spec.numbers, *spec.labels]
