"""implicit's item-item neighbours: cosine, TF-IDF and BM25, summed over the history."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
from implicit.nearest_neighbours import (
    BM25Recommender,
    CosineRecommender,
    ItemItemRecommender,
    TFIDFRecommender,
)
from scipy.sparse import csr_matrix

from beauty_rec.search.ranks import Scores
from benchmarks.peer_models.choosing import Form, beside_popularity, best_on_valid
from benchmarks.peer_models.command import run_peer
from benchmarks.peer_models.exchange import Asked, ScoresOf, Shop

WEIGHTINGS = {"cosine": CosineRecommender, "TF-IDF": TFIDFRecommender, "BM25": BM25Recommender}
NEIGHBOURS = (20, 100, 500)


def fit(shop: Shop, seed: int) -> tuple[ScoresOf, Mapping[str, Any]]:
    """Return the best of the forms on valid; nothing is random here."""
    return best_on_valid(shop, _forms(shop))


def summed(model: ItemItemRecommender, shop: Shop) -> ScoresOf:
    """Return the scores of a fitted model; 0 where there is no history."""
    similarity = csr_matrix(model.similarity).T.tocsr()

    def scores(asked: Asked, rows: slice) -> Scores:
        history = csr_matrix(asked.histories(shop.items)[rows])
        return np.asarray((history @ similarity).toarray(), np.float32)

    return scores


def fitted(shop: Shop, weighting: str, neighbours: int) -> ItemItemRecommender:
    """Return the neighbours of items by the train events of a shop."""
    model = WEIGHTINGS[weighting](K=neighbours, num_threads=1)
    model.fit(csr_matrix(shop.purchases()), show_progress=False)
    return model


def _forms(shop: Shop) -> Iterator[Form]:
    for weighting, neighbours in product(WEIGHTINGS, NEIGHBOURS):
        choice = {"weighting": weighting, "neighbours": neighbours}
        yield from beside_popularity(
            shop, summed(fitted(shop, weighting, neighbours), shop), choice
        )


if __name__ == "__main__":
    run_peer(fit)
