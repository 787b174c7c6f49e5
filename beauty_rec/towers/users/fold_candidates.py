"""Candidates of train events, each by a tower that never saw it."""

from pathlib import Path

import polars as pl

from beauty_rec.artifacts import Vectors
from beauty_rec.events.folds import fold_of
from beauty_rec.towers.users.candidates import event_requests, exact_candidates
from beauty_rec.towers.users.current_items import current_items
from beauty_rec.towers.users.served import ServedUserTower


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
