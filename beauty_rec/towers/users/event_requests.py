"""What the stages ask for each event: its user vector, and the items it has seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.events.arrays import Events, read_events
from beauty_rec.towers.users.served import ServedUserTower


@dataclass(frozen=True)
class EventRequests:
    """``vectors``: float32 ``[Q, W]``; ``seen``: per event the rows of the items to leave out."""

    vectors: NDArray[np.float32]
    seen: list[NDArray[np.int64]]


def event_requests(
    served: ServedUserTower,
    reviews: pl.DataFrame,
    contexts: Vectors,
    profiles: pl.DataFrame,
    review_ids: Sequence[str],
    without: tuple[bool, bool, bool] = (False, False, False),
    events: Events | None = None,
) -> EventRequests:
    """Return the requests of the events ``review_ids``, each with the history before it.

    Args:
        served: the tower.
        reviews: split_reviews of every split that a history may reach into.
        contexts: vectors of the context texts, by text.
        profiles: ``user_profiles``.
        review_ids: events, rows of ``reviews``.
        without: branches (behaviour, context, profile) to be taken as empty: ablations.
        events: those of ``reviews`` and the tower's items, where they have been read before.

    Raises:
        KeyError: an event that ``reviews`` lacks.
    """
    events = read_events(reviews, served.items.ids) if events is None else events
    places = pl.DataFrame({"id": reviews["review_id"], "row": np.arange(len(reviews))})
    asked = pl.DataFrame({"id": list(review_ids)}, schema={"id": pl.String})
    found = asked.join(places, on="id", how="left", maintain_order="left")
    if (lacking := found.filter(pl.col("row").is_null())).height:
        raise KeyError(lacking["id"][0])
    rows = found["row"].to_numpy().astype(np.int64)
    requests = served.knowledge(events, contexts, profiles).requests(rows, served.as_of_ms)
    return EventRequests(
        served.user_vectors(requests, without),
        [np.unique(events.seen(row)) for row in rows],
    )
