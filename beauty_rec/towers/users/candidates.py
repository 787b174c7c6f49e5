"""What the stages ask for each event: its user vector, and the items it has seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.events.arrays import read_events
from beauty_rec.search.near_ties import ranked
from beauty_rec.towers.users.search import candidates_frame, user_candidates
from beauty_rec.towers.users.served import ServedUserTower


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
    without: tuple[bool, bool, bool] = (False, False, False),
) -> EventRequests:
    """Return the requests of the events ``review_ids``, each with the history before it.

    Args:
        served: the tower.
        reviews: split_reviews of every split that a history may reach into.
        contexts: vectors of the context texts, by text.
        profiles: ``user_profiles``.
        review_ids: events, rows of ``reviews``.
        without: branches (behaviour, context, profile) to be taken as empty: ablations.

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
        served.user_vectors(requests, without),
        [np.unique(events.seen(row)) for row in rows],
        ids,
    )


def exact_candidates(served: ServedUserTower, requests: EventRequests, k: int) -> pl.DataFrame:
    """Return ``review_id, parent_asin, rank, score`` of the ``k`` best unseen items, exact."""
    items, scores = user_candidates(requests.vectors, served.items.matrix, requests.seen, k)
    return candidates_frame(requests.review_ids, items, scores, requests.item_ids)


def listed_candidates(
    requests: EventRequests, ids: Sequence[Sequence[str]], scores: NDArray[np.float32], k: int
) -> pl.DataFrame:
    """Return the same frame from an index's answer: lists of ids, scores ``[Q, more than k]``.

    Near ties are in the order of the items, whatever order the index found them in.
    """
    place = {name: row for row, name in enumerate(requests.item_ids)}
    parts = []
    for found, said in zip(ids, scores, strict=True):
        own = said[: len(found)]
        order = ranked(own, np.array([place.get(i, len(place)) for i in found], dtype=np.int64))[:k]
        parts.append([(found[at], rank, float(own[at])) for rank, at in enumerate(order, 1)])
    names = [review_id for review_id, part in zip(requests.review_ids, parts, strict=True)
             for _ in part]  # fmt: skip
    rows = [row for part in parts for row in part]
    return pl.DataFrame(
        {
            "review_id": names,
            "parent_asin": [item for item, _, _ in rows],
            "rank": [rank for _, rank, _ in rows],
            "score": [score for _, _, score in rows],
        },
        schema={
            "review_id": pl.String,
            "parent_asin": pl.String,
            "rank": pl.Int32,
            "score": pl.Float32,
        },
    )
