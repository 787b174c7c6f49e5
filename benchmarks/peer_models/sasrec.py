"""SASRec (Kang and McAuley, 2018), RecTools' own: each event asks as a user of its history."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

from beauty_rec.search.ranks import Scores
from benchmarks.peer_models.choosing import Form, beside_popularity, best_on_valid
from benchmarks.peer_models.command import run_peer
from benchmarks.peer_models.exchange import Asked, Codes, ScoresOf, Shop

EPOCHS = (3, 8)
OPTIONS = {
    "n_factors": 64,
    "n_blocks": 1,
    "n_heads": 2,
    "session_max_len": 10,
    "dropout_rate": 0.3,
    "lr": 0.002,
    "batch_size": 256,
    "loss": "softmax",
}
USERS_AT_ONCE = 1_000


def fit(shop: Shop, seed: int) -> tuple[ScoresOf, Mapping[str, Any]]:
    """Return the best of the forms on valid."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    return best_on_valid(shop, _forms(shop, seed))


def _forms(shop: Shop, seed: int) -> Iterator[Form]:
    train = _dataset(shop.user, shop.item, shop.time_ms)
    for epochs in EPOCHS:
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  # the library draws from it
        model = SASRecModel(**OPTIONS, epochs=epochs)
        model.fit(train)
        yield from beside_popularity(shop, _scores(model, shop), {"epochs": epochs})


def _scores(model: SASRecModel, shop: Shop) -> ScoresOf:
    known: dict[int, Scores] = {}

    def scores(asked: Asked, rows: slice) -> Scores:
        if id(asked) not in known:
            known[id(asked)] = _shares(model, asked, shop.items)
        return known[id(asked)][rows]

    return scores


def _shares(model: SASRecModel, asked: Asked, items: int) -> Scores:
    """Return the model's share of each item, ``[Q, items]``; 0 where no history is known to it."""
    query = np.repeat(np.arange(len(asked)), np.diff(asked.history_start))
    history = _dataset(query, asked.history, np.arange(len(query)))
    found = np.zeros((len(asked), items), np.float32)
    for start in range(0, len(asked), USERS_AT_ONCE):
        inside = (query >= start) & (query < start + USERS_AT_ONCE)
        if not inside.any():
            continue
        lists = model.recommend(
            np.unique(query[inside]),
            history,
            k=items,
            filter_viewed=False,
            add_rank_col=False,
            on_unsupported_targets="ignore",
        )
        logits = np.full((USERS_AT_ONCE, items), -np.inf, np.float32)
        users = lists[Columns.User].to_numpy() - start
        logits[users, lists[Columns.Item].to_numpy()] = lists[Columns.Score].to_numpy()
        answered = np.unique(users)
        part = np.exp(logits[answered] - logits[answered].max(axis=1, keepdims=True))
        found[start + answered] = part / part.sum(axis=1, keepdims=True)
    return found


def _dataset(user: Codes, item: Codes, time_ms: Codes) -> Dataset:
    return Dataset.construct(
        pd.DataFrame(
            {
                Columns.User: user,
                Columns.Item: item,
                Columns.Weight: 1.0,
                Columns.Datetime: pd.to_datetime(time_ms, unit="ms"),
            }
        )
    )


if __name__ == "__main__":
    run_peer(fit)
