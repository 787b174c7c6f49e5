"""LightFM (Kula, 2015) with WARP: each event is a "user" of a user id, a context and a profile."""

from collections.abc import Iterator, Mapping
from itertools import pairwise, product
from typing import Any

import numpy as np
from lightfm import LightFM
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, hstack

from beauty_rec.evaluation.popularity import Recency
from beauty_rec.search.ranks import Scores
from benchmarks.peer_models.choosing import Form, best_on_valid
from benchmarks.peer_models.command import run_peer
from benchmarks.peer_models.exchange import HELD_OUT, Asked, Codes, ScoresOf, Shop

COMPONENTS = (32, 64)
HALF_LIVES = (60, 90, 180, 3650)
"""Days after which an event weighs half."""
PENALTIES = (1e-5, 5e-5, 1e-4)
EPOCHS = (0, 2, 4, 6, 8, 12)
LEARNING_RATE, MOST_DRAWN = 0.03, 100
BINS = 10


def fit(shop: Shop, seed: int) -> tuple[ScoresOf, Mapping[str, Any]]:
    """Return the best of the forms on valid."""
    return best_on_valid(shop, _forms(shop, seed))


def _forms(shop: Shop, seed: int) -> Iterator[Form]:
    profile = _profile(shop)
    features = {
        id(asked): _features(shop, profile, asked.user, asked.context)
        for asked in (shop.asked[split] for split in HELD_OUT)
    }
    learned = _features(shop, profile, shop.user, shop.context)
    events = np.arange(len(shop.item))
    shape = (len(events), shop.items)
    bought = coo_matrix((np.ones(len(events), np.float32), (events, shop.item)), shape)
    for components, days, penalty in product(COMPONENTS, HALF_LIVES, PENALTIES):
        model = LightFM(
            no_components=components,
            loss="warp",
            learning_rate=LEARNING_RATE,
            user_alpha=penalty,
            item_alpha=penalty,
            max_sampled=MOST_DRAWN,
            random_state=seed,
        )
        counted = shop.weights(Recency(half_life_days=days)).astype(np.float32)
        weights = coo_matrix((counted, (events, shop.item)), shape)
        for before, epochs in pairwise(EPOCHS):
            model.fit_partial(
                bought, user_features=learned, sample_weight=weights, epochs=epochs - before
            )
            choice = {
                "components": components,
                "half-life": days,
                "penalty": penalty,
                "epochs": epochs,
            }
            yield _scores(model, features), choice


def _scores(model: LightFM, features: Mapping[int, csr_matrix]) -> ScoresOf:
    biases, items = (part.copy() for part in model.get_item_representations())
    users = {key: model.get_user_representations(rows)[1] for key, rows in features.items()}

    def scores(asked: Asked, rows: slice) -> Scores:
        return np.asarray(users[id(asked)][rows] @ items.T + biases, np.float32)

    return scores


def _features(shop: Shop, profile: csr_matrix, user: Codes, context: Codes) -> csr_matrix:
    """Return a row an event: its user (if train knows it), its context, the user's profile."""
    known = np.bincount(shop.user, minlength=shop.users) > 0
    ids = _one_of(np.where(known[user], user, -1), shop.users)
    parts = [ids, _one_of(context, shop.contexts), profile[user]]
    return csr_matrix(hstack(parts), dtype=np.float32)


def _profile(shop: Shop) -> csr_matrix:
    """Return a row a user: the bin of each number, and each text."""
    parts = [csr_matrix((shop.users, 0), dtype=np.float32)]
    for numbers in shop.numbers.T:
        if np.isfinite(numbers).any():
            parts.append(_one_of(_bins(numbers), BINS))
    for codes in shop.groups.T:
        parts.append(_one_of(codes, int(codes.max()) + 1))
    return csr_matrix(hstack(parts), dtype=np.float32)


def _bins(numbers: NDArray[np.float32]) -> Codes:
    edges = np.nanquantile(numbers, np.arange(1, BINS) / BINS)
    return np.where(np.isnan(numbers), -1, np.searchsorted(edges, numbers))


def _one_of(codes: Codes, width: int) -> csr_matrix:
    rows = np.flatnonzero(codes >= 0)
    ones = np.ones(len(rows), np.float32)
    return csr_matrix((ones, (rows, codes[rows])), shape=(len(codes), width))


if __name__ == "__main__":
    run_peer(fit)
