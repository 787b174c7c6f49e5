"""The served user tower, and towers of earlier parts of train for the reranker's examples.

A reranker that learned from the candidates of a tower's own training events would trust the tower
too much. So train is cut at moments (``recommendation.folds``); the events between two of them get
their candidates from a tower of what lies before the first.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from beauty_rec.artifacts import Vectors, atomic_path
from beauty_rec.retriever.contexts import context_vectors
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.settings import Settings
from beauty_rec.towers.current_items import current_items
from beauty_rec.towers.event_requests import event_requests, exact_candidates
from beauty_rec.towers.served_user_tower import ServedUserTower
from beauty_rec.towers.train_user_tower import train_user_tower
from beauty_rec.towers.user_tower_data import user_tower_data

SERVED = "served"
FOLDS = "folds.json"
QUERIES = "queries.npy"
"""User vectors of some valid events: what the item index is verified with."""
INDEX_QUERIES = 200


def with_context(reviews: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Return the reviews with the context that the settings choose."""
    if settings.recommendation.context_from == "review_text":
        return reviews.with_columns(context=pl.col("text").replace("", None))
    return reviews


def fold_starts(reviews: pl.DataFrame, shares: tuple[float, ...]) -> list[int]:
    """Return the moments (Unix ms, ascending, distinct) at which the parts of train begin."""
    times = reviews.filter(split="train")["timestamp"].sort()
    return sorted({int(times[min(len(times) - 1, int(share * len(times)))]) for share in shares})


def first_fold(user_tower: Path) -> int:
    """Return the moment (Unix ms) at which the first out-of-fold part of train begins."""
    return int(json.loads((user_tower / FOLDS).read_text(encoding="utf-8"))[0])


def fold_of(events: pl.DataFrame, user_tower: Path) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield each fold's start (Unix ms) and its events, the earliest first."""
    starts = json.loads((user_tower / FOLDS).read_text(encoding="utf-8"))
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        inside = pl.col("timestamp") >= start
        if end is not None:
            inside &= pl.col("timestamp") < end
        yield start, events.filter(inside)


def fold_candidates(
    user_tower: Path,
    events: pl.DataFrame,
    reviews: pl.DataFrame,
    contexts: Vectors,
    profiles: pl.DataFrame,
    item_vectors: Vectors,
    item_texts: Vectors,
    k: int,
) -> pl.DataFrame:
    """Return ``review_id, parent_asin, rank, score``: each event's candidates by its fold's tower.

    Exact search: an index of every fold's items would cost more than it saves.
    """
    found = []
    for start, inside in fold_of(events, user_tower):
        folder = user_tower / str(start)
        items = current_items(folder, reviews, profiles, item_vectors, item_texts, as_trained=True)
        served = ServedUserTower.load(folder, items)
        requests = event_requests(
            served, reviews, contexts, profiles, inside["review_id"].to_list()
        )
        found.append(exact_candidates(served, requests, k))
    return pl.concat(found)


def train_with_folds(
    reviews: pl.DataFrame,
    item_vectors: Vectors,
    item_texts: Vectors,
    text_retriever: Path,
    profiles: pl.DataFrame,
    settings: Settings,
    target: Path,
    checkpoints: Path,
) -> dict[str, Any]:
    """Train all towers into ``target``: ``served/``, one folder a fold, and ``folds.json``.

    Args:
        reviews: train and valid rows of split_reviews.
        item_vectors: frozen, of the item tower, ``[N, D]``.
        item_texts: of the text retriever, a block of the item matrix.
        text_retriever: its folder; encodes the contexts.
        profiles: ``user_profiles``.
        settings: of the run.
        target: folder, replaced atomically at the end.
        checkpoints: folder; a killed training goes on from there.

    Returns:
        The log of the served tower.
    """
    reviews = with_context(reviews, settings)
    encoder = TextEncoder.load(text_retriever, settings.encoder)
    contexts = context_vectors(encoder, reviews["context"])
    starts = fold_starts(reviews, settings.recommendation.folds)
    with atomic_path(target) as draft:
        draft.mkdir()
        served = user_tower_data(reviews, item_vectors, contexts, profiles, item_texts)
        log = train_user_tower(served, settings.user_tower, draft / SERVED, checkpoints / SERVED)
        # A fold has no valid events of its own: it takes what was chosen for the served tower.
        chosen = settings.user_tower.model_copy(
            update={
                "epochs": log["best_epoch"],
                "text_weights": (log["text_weight"],),
                "past_weights": (log["past_weight"],),
                "past_text_weights": (log["past_text_weight"],),
                "newcomer_weights": (log["newcomer_weight"],),
            }
        )
        for start in starts:
            data = user_tower_data(
                reviews, item_vectors, contexts, profiles, item_texts, train_until_ms=start
            )
            train_user_tower(data, chosen, draft / str(start), checkpoints / str(start))
        (draft / FOLDS).write_text(json.dumps(starts), encoding="utf-8")
        asked = reviews.filter(split="valid")["review_id"].to_list()[:INDEX_QUERIES]
        items = current_items(draft / SERVED, reviews, profiles, item_vectors, item_texts)
        tower = ServedUserTower.load(draft / SERVED, items)
        queries = event_requests(tower, reviews, contexts, profiles, asked).vectors
        np.save(draft / QUERIES, queries)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return log
