"""Items by text: what the sources that read a text find, or the items near another item."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from beauty_rec.corpus.text import clean_text
from beauty_rec.ranking.features.build import Query
from beauty_rec.recommender.online.requests import RecommendRequest, SearchOrder, SimilarBy
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.stock.filters import ANYTHING, Filter
from beauty_rec.recommender.online.understood import Understood, asks_of
from beauty_rec.recommender.space import ItemSpace
from beauty_rec.settings import ServeSettings

LABEL_CHARS = 100
UNSHOWN = ("summary", "categories")


@dataclass(frozen=True)
class SearchQuestion:
    """``text`` is not blank; ``k`` items at most are answered, in the order that is named."""

    text: str
    k: int = 10
    filters: Filter = ANYTHING
    order: SearchOrder = "hybrid"


def search(
    shop: Snapshot, questions: Sequence[SearchQuestion], settings: ServeSettings
) -> list[dict[str, Any]]:
    """Return for each question ``Hits`` in plain values: the items that its text finds."""
    answers: list[dict[str, Any]] = [{}] * len(questions)
    for order in dict.fromkeys(question.order for question in questions):
        rows = [row for row, question in enumerate(questions) if question.order == order]
        some = [questions[row] for row in rows]
        asks = asks_of(shop, [_anybody(shop.space, _read(question.text)) for question in some])
        found = shop.path.search(
            asks,
            [max(settings.source_depth, question.k) for question in some],
            order,
            gone=shop.catalogue.gone,
            allowed=[shop.catalogue.passing(question.filters) for question in some],
        )
        for row, ordered in zip(rows, found, strict=True):
            k = questions[row].k
            answers[row] = _hits(shop, order, ordered.rows[:k], ordered.scores[:k])
    return answers


def _read(text: str) -> str:
    """Return a text as those of the items were read; as it stands where nothing would be left."""
    return clean_text(text) or text.strip()


def similar(
    shop: Snapshot, row: int, k: int, by: SimilarBy = "text", filters: Filter = ANYTHING
) -> dict[str, Any]:
    """Return ``Hits``: the items whose texts or vectors are nearest, or the company in baskets.

    Args:
        shop: what is asked.
        row: of the item, in the item space.
        k: items at most.
        by: ``text``: the cosine of the texts; ``vectors``: that of the item tower's vectors, which
            attributes and titles make; ``baskets``: what its buyers took as well, as a share
            of the best; see :func:`~beauty_rec.ranking.features.co_purchase.co_purchase`.
        filters: what they have to be.
    """
    space, near = shop.space, "item_tower" if by == "vectors" else "text_retriever"
    allowed = shop.catalogue.passing(filters)
    if by == "baskets":
        asks = asks_of(shop, [_anybody(space, None, row)])
        found = next(
            shop.path.search(asks, k, "item_to_item", gone=shop.catalogue.gone, allowed=[allowed])
        )
        return _hits(shop, "item_to_item", found.rows[:k], found.scores[:k])
    own = space.vectors(np.array([row]))
    if by == "vectors":
        own[:, space.tower_stop :] = 0
    else:
        own[:, : space.text_start] = 0
    if not own.any():
        return _hits(shop, near, np.zeros(0, np.int64), np.zeros(0, np.float32))
    scores = space.scores(own)[0]
    hidden = np.zeros(len(space), bool) if by == "vectors" else ~space.has_text
    hidden[[*shop.catalogue.gone, row]] = True
    if allowed is not None:
        hidden |= ~allowed
    scores[torch.from_numpy(hidden)] = -torch.inf
    return _hits(shop, near, *space.best(scores, own[0], k))


def label(hit: dict[str, Any]) -> str:
    """Return the title; where there is none, the brand, the category and what reviewers said."""
    known = [hit.get("brand"), hit.get("category"), *hit["keywords"][:5]]
    text = hit["title"] or f"(no title) {', '.join(name for name in known if name)}"
    return text if len(text) <= LABEL_CHARS else text[: LABEL_CHARS - 1] + "…"


def _anybody(space: ItemSpace, text: str | None, *past: int) -> Understood:
    """Return an ask of nobody in particular, with a text or with items of the past (rows)."""
    query = Query(int(time.time() * 1000), [space.ids[row] for row in past], text, {})
    return Understood(RecommendRequest(), query, [], np.array(past, dtype=np.int64), [])


def _hits(
    shop: Snapshot, order: str, rows: NDArray[np.int64], scores: NDArray[np.float32]
) -> dict[str, Any]:
    cards = [shop.catalogue.card(row) for row in rows.tolist()]
    return {
        "version": shop.manifest.set,
        "order": order,
        "items": [
            {**{n: v for n, v in card.items() if n not in UNSHOWN}, "rank": rank, "score": score}
            for rank, (card, score) in enumerate(zip(cards, scores.tolist(), strict=True), 1)
        ],
    }
