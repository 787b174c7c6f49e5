"""implicit's ALS (Hu, Koren and Volinsky, 2008): the history is folded in when it asks."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from beauty_rec.search.ranks import Scores
from benchmarks.peer_models.choosing import Form, beside_popularity, best_on_valid
from benchmarks.peer_models.command import run_peer
from benchmarks.peer_models.exchange import Asked, ScoresOf, Shop

FACTORS = (32, 64, 128)
REGULARIZATION = (0.1, 1.0)
ALPHA = (1.0, 10.0)


def fit(shop: Shop, seed: int) -> tuple[ScoresOf, Mapping[str, Any]]:
    """Return the best of the forms on valid."""
    return best_on_valid(shop, _forms(shop, seed))


def folded_in(model: AlternatingLeastSquares, shop: Shop) -> ScoresOf:
    """Return the scores of a fitted model; 0 where there is no history."""

    def scores(asked: Asked, rows: slice) -> Scores:
        history = csr_matrix(asked.histories(shop.items)[rows])
        vectors = model.recalculate_user(np.arange(history.shape[0]), history)
        return np.asarray(vectors @ model.item_factors.T, np.float32)

    return scores


def fitted(shop: Shop, seed: int, factors: int, **options: float) -> AlternatingLeastSquares:
    """Return ALS of the train events of a shop."""
    model = AlternatingLeastSquares(
        factors, iterations=15, random_state=seed, num_threads=1, **options
    )
    model.fit(csr_matrix(shop.purchases()), show_progress=False)
    return model


def _forms(shop: Shop, seed: int) -> Iterator[Form]:
    for factors, regularization, alpha in product(FACTORS, REGULARIZATION, ALPHA):
        options = {"regularization": regularization, "alpha": alpha}
        model = fitted(shop, seed, factors, **options)
        yield from beside_popularity(shop, folded_in(model, shop), {"factors": factors, **options})


if __name__ == "__main__":
    run_peer(fit)
