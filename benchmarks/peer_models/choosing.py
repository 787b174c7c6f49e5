"""What peers choose on valid: their own settings, and how much popularity counts beside them."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from beauty_rec.measures.metrics import ndcg_at
from beauty_rec.search.ranks import Scores
from benchmarks.peer_models.exchange import Asked, ScoresOf, Shop, ranks_of

POPULARITY_WEIGHTS = (0.0, 0.3, 1.0, 3.0, 10.0)
CUT = 100
"""Choices are made by NDCG@100, which is steadier than NDCG@10."""

Form = tuple[ScoresOf, Mapping[str, Any]]


def best_on_valid(shop: Shop, forms: Iterable[Form]) -> Form:
    """Return the form with the best NDCG@100 on valid; the first of equals."""
    return max(forms, key=lambda form: ndcg_at(ranks_of(shop, form[0], "valid"), CUT).mean())


def beside_popularity(shop: Shop, personal: ScoresOf, choice: Mapping[str, Any]) -> Iterable[Form]:
    """Yield a model beside the popularity within the context, with each weight of that.

    Both are divided by their largest in a query. Whoever has no history, or none that the model
    knows, gets the popularity alone: where all scores of ``personal`` are 0.
    """
    popular = shop.popularity()

    for weight in POPULARITY_WEIGHTS:

        def scores(asked: Asked, rows: slice, weight: float = weight) -> Scores:
            own, backoff = personal(asked, rows), popular(asked, rows)
            nothing = ~own.any(axis=1, keepdims=True)
            mixed = _scaled(own) + np.float32(weight) * _scaled(backoff)
            return np.where(nothing, backoff, mixed)

        yield scores, {**choice, "popularity": weight}


def _scaled(scores: Scores) -> Scores:
    top = scores.max(axis=1, keepdims=True)
    return np.asarray(scores / np.where(top > 0, top, 1), np.float32)
