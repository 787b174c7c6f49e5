"""What the stages ask for each event: its user vector, and the items it has seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.towers.events import read_events
from beauty_rec.towers.served_user_tower import ServedUserTower
from beauty_rec.towers.user_candidates import candidates_frame, user_candidates


@dataclass(frozen=True)
class EventRequests:
    """``vectors``: float32 ``[Q, W]``; ``seen``: per event the rows of the items to leave out."""

    review_ids: list[str]
    vectors: NDArray[np.float32]
    seen: list[NDArray[np.int64]]
    item_ids: list[str]

    def seen_ids(self) -> list[list[str]]:
        """Return the ids of the seen items."""
        return [[self.item_ids[row] for row in rows] for rows in self.seen]


def event_requests(
    served: ServedUserTower,
    reviews: pl.DataFrame,
    contexts: Vectors,
    profiles: pl.DataFrame,
    review_ids: Sequence[str],
) -> EventRequests:
    """Return the requests of the events ``review_ids``, each with the history before it.

    Args:
        served: the tower.
        reviews: split_reviews of every split that a history may reach into.
        contexts: vectors of the context texts, by text.
        profiles: ``user_profiles``.
        review_ids: events, rows of ``reviews``.

    Raises:
        KeyError: an event that ``reviews`` lacks.
    """
    ids = served.items.ids
    events = read_events(reviews, ids)
    place = {name: row for row, name in enumerate(reviews["review_id"].to_list())}
    rows = np.array([place[name] for name in review_ids], dtype=np.int64)
    requests = served.knowledge(events, contexts, profiles).requests(rows, served.as_of_ms)
    return EventRequests(
        list(review_ids),
        served.user_vectors(requests),
        [np.unique(events.seen(row)) for row in rows],
        ids,
    )


def exact_candidates(served: ServedUserTower, requests: EventRequests, k: int) -> pl.DataFrame:
    """Return ``review_id, parent_asin, rank, score`` of the ``k`` best unseen items, exact."""
    items, scores = user_candidates(requests.vectors, served.items.matrix, requests.seen, k)
    return candidates_frame(requests.review_ids, items, scores, requests.item_ids)


def listed_candidates(
    requests: EventRequests, ids: Sequence[Sequence[str]], scores: NDArray[np.float32]
) -> pl.DataFrame:
    """Return the same frame from an index's answer: lists of ids, scores ``[Q, k]``."""
    lengths = [len(row) for row in ids]
    return pl.DataFrame(
        {
            "review_id": np.repeat(np.array(requests.review_ids, dtype=object), lengths).tolist(),
            "parent_asin": [item for row in ids for item in row],
            "rank": [place for length in lengths for place in range(1, length + 1)],
            "score": [float(s) for row, n in zip(scores, lengths, strict=True) for s in row[:n]],
        },
        schema={
            "review_id": pl.String,
            "parent_asin": pl.String,
            "rank": pl.Int32,
            "score": pl.Float32,
        },
    )
