"""The served user tower, and towers of earlier parts of train for the reranker's examples.

A reranker that learned from the candidates of a tower's own training events would trust the tower
too much. So train is cut at moments (``recommendation.folds``); the events between two of them get
their candidates from a tower of what lies before the first.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from beauty_rec.artifacts import Vectors, atomic_path
from beauty_rec.events.arrays import read_events
from beauty_rec.events.folds import FOLDS
from beauty_rec.events.occasions import with_told_contexts
from beauty_rec.retriever.contexts import context_vectors
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.settings import Settings
from beauty_rec.towers.past.stored import PastItems
from beauty_rec.towers.users.current_items import current_items
from beauty_rec.towers.users.event_requests import event_requests
from beauty_rec.towers.users.item_matrix import aligned
from beauty_rec.towers.users.layout import INDEX_QUERIES, QUERIES, SERVED
from beauty_rec.towers.users.served import ServedUserTower
from beauty_rec.towers.users.train.data import user_tower_data
from beauty_rec.towers.users.train.recipe import train_user_tower


def train_with_folds(
    reviews: pl.DataFrame,
    item_vectors: Vectors,
    item_texts: Vectors,
    past: PastItems,
    text_retriever: Path,
    profiles: pl.DataFrame,
    settings: Settings,
    target: Path,
    checkpoints: Path,
    device: str = "cpu",
    scratch: Path | None = None,
) -> dict[str, Any]:
    """Train all towers into ``target``: ``served/``, one folder a fold, and ``folds.json``.

    Args:
        reviews: train and valid rows of split_reviews.
        item_vectors: frozen, of the item tower, ``[N, D]``.
        item_texts: of the text retriever, a block of the item matrix.
        past: both as they were at the start of each fold, which are its folds.
        text_retriever: its folder; encodes the contexts.
        profiles: ``user_profiles``.
        settings: of the run.
        target: folder, replaced atomically at the end.
        checkpoints: folder; a killed training goes on from there.
        device: that the towers compute on while they are trained, in ``encoder.precision``.
        scratch: as of :func:`~beauty_rec.towers.users.train.recipe.train_user_tower`.

    Returns:
        The log of the served tower.
    """
    reviews, precision = with_told_contexts(reviews, settings), settings.encoder.precision
    encoder = TextEncoder.load(text_retriever, settings.encoder)
    contexts = context_vectors(encoder, reviews["context"])
    ids = item_vectors.ids
    with atomic_path(target) as draft:
        draft.mkdir()
        events = read_events(reviews, ids, max_user_events=settings.ranking.max_user_events)
        served = user_tower_data(
            reviews, item_vectors, contexts, profiles, item_texts, events=events
        )
        log = train_user_tower(
            served,
            settings.user_tower,
            draft / SERVED,
            checkpoints / SERVED,
            device,
            precision,
            scratch=scratch,
        )
        for start in past.starts:
            data = user_tower_data(
                reviews,
                Vectors(ids, aligned(past.vectors(start), ids)),  # zeros of what was unknown
                contexts,
                profiles,
                Vectors(ids, aligned(past.texts(start), ids)),
                train_until_ms=start,
                events=events,
            )
            own, kept = draft / str(start), checkpoints / str(start)
            # It has no valid events of its own: it takes what was chosen for the served tower.
            train_user_tower(data, settings.user_tower, own, kept, device, precision, log, scratch)
        (draft / FOLDS).write_text(json.dumps(list(past.starts)), encoding="utf-8")
        asked = reviews.filter(split="valid")["review_id"].head(INDEX_QUERIES).to_list()
        items = current_items(draft / SERVED, reviews, profiles, item_vectors, item_texts)
        tower = ServedUserTower.load(draft / SERVED, items)
        queries = event_requests(tower, reviews, contexts, profiles, asked, events=events).vectors
        np.save(draft / QUERIES, queries)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return log
