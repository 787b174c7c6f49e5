"""Items by text: encode the query, look at every item, show the nearest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from beauty_rec.recommender.online.catalogue import Filters
from beauty_rec.recommender.online.snapshot import Snapshot

LABEL_CHARS = 100
ANYTHING = Filters()


@dataclass(frozen=True)
class SearchQuestion:
    """``text`` is not blank; ``k`` items at most are answered."""

    text: str
    k: int = 10
    filters: Filters = ANYTHING


def search(shop: Snapshot, questions: Sequence[SearchQuestion]) -> list[dict[str, Any]]:
    """Return for each question ``Hits`` in plain values: the items nearest to its text."""
    vectors = shop.models.contexts([question.text.strip() for question in questions])
    queries = shop.space.text_queries(np.stack(vectors))
    scores = shop.space.scores(queries)
    return [
        _hits(shop, scores[i], queries[i], question.k, question.filters)
        for i, question in enumerate(questions)
    ]


def similar(shop: Snapshot, row: int, k: int) -> dict[str, Any]:
    """Return ``Hits``: the items whose texts are nearest to that of the item in ``row``."""
    query = shop.space.text_queries(shop.space.texts(np.array([row])))
    scores = shop.space.scores(query)[0]
    scores[row] = -torch.inf
    if not shop.space.has_text[row]:
        scores[:] = -torch.inf
    return _hits(shop, scores, query[0], k, ANYTHING)


def label(hit: dict[str, Any]) -> str:
    """Return the title; where there is none, the brand, the category and what reviewers said."""
    known = [hit.get("brand"), hit.get("category"), *hit["keywords"][:5]]
    text = hit["title"] or f"(no title) {', '.join(name for name in known if name)}"
    return text if len(text) <= LABEL_CHARS else text[: LABEL_CHARS - 1] + "…"


def _hits(
    shop: Snapshot, scores: torch.Tensor, query: np.ndarray, k: int, filters: Filters
) -> dict[str, Any]:
    catalogue = shop.catalogue
    hidden = ~shop.space.has_text[: len(shop.space)]
    hidden[catalogue.gone] = True
    mask = catalogue.passing(filters)
    if mask is not None:
        hidden |= ~mask
    scores[torch.from_numpy(hidden)] = -torch.inf
    rows, exact = shop.space.best(scores, query, k)
    return {
        "version": shop.manifest.set,
        "items": [
            {
                **{n: v for n, v in catalogue.card(row).items() if n != "summary"},
                "rank": rank,
                "score": score,
            }
            for rank, (row, score) in enumerate(zip(rows.tolist(), exact.tolist(), strict=True), 1)
        ],
    }
