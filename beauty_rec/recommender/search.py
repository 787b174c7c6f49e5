"""Items by text: encode the query, look at every item, show the nearest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from beauty_rec.recommender.catalogue import Catalogue, Filters
from beauty_rec.recommender.snapshot import World

LABEL_CHARS = 100
ANYTHING = Filters()


@dataclass(frozen=True)
class SearchQuestion:
    """``text`` is not blank; ``k`` items at most are answered."""

    text: str
    k: int = 10
    filters: Filters = ANYTHING


def search(world: World, questions: Sequence[SearchQuestion]) -> list[dict[str, Any]]:
    """Return for each question ``Hits`` in plain values: the items nearest to its text."""
    catalogue = world.catalogue
    vectors = world.models.contexts([question.text.strip() for question in questions])
    queries = np.stack([_padded(catalogue, vector) for vector in vectors])
    scores = catalogue.scores(queries)
    return [
        _hits(world, scores[i], queries[i], question.k, question.filters)
        for i, question in enumerate(questions)
    ]


def similar(world: World, row: int, k: int) -> dict[str, Any]:
    """Return ``Hits``: the items whose texts are nearest to that of the item in ``row``."""
    catalogue = world.catalogue
    query = _padded(catalogue, catalogue.texts(np.array([row]))[0])
    scores = catalogue.scores(query[None])[0]
    scores[row] = -torch.inf
    if not catalogue.has_text[row]:
        scores[:] = -torch.inf
    return _hits(world, scores, query, k, ANYTHING)


def label(hit: dict[str, Any]) -> str:
    """Return the title, or what reviewers said where there is none."""
    text = hit["title"] or f"(no title) {', '.join(hit['keywords'][:5])}"
    return text if len(text) <= LABEL_CHARS else text[: LABEL_CHARS - 1] + "…"


def _padded(catalogue: Catalogue, vector: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros(catalogue.text_start, np.float32), vector])


def _hits(
    world: World, scores: torch.Tensor, query: np.ndarray, k: int, filters: Filters
) -> dict[str, Any]:
    catalogue = world.catalogue
    hidden = ~catalogue.has_text[: len(catalogue.ids)]
    hidden[catalogue.gone] = True
    mask = catalogue.passing(filters)
    if mask is not None:
        hidden |= ~mask
    scores[torch.from_numpy(hidden)] = -torch.inf
    rows, exact = catalogue.best(scores, query, k)
    return {
        "version": world.manifest.set,
        "items": [
            {
                **{n: v for n, v in catalogue.card(row).items() if n != "summary"},
                "rank": rank,
                "score": score,
            }
            for rank, (row, score) in enumerate(zip(rows.tolist(), exact.tolist(), strict=True), 1)
        ],
    }
