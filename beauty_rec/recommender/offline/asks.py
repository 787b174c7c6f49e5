"""Events of the past, asked as a shopper would have asked."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.events.arrays import Events, read_events
from beauty_rec.events.places import rows_of
from beauty_rec.ranking.features.frames import queries_from
from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.space import ItemSpace
from beauty_rec.towers.users.served import ServedUserTower


def event_asks(
    events: pl.DataFrame,
    reviews: pl.DataFrame,
    profiles: pl.DataFrame,
    tower: ServedUserTower,
    space: ItemSpace,
    texts: Vectors,
    tower_reads: NDArray[np.bool_],
    known: Events | None = None,
) -> Asks:
    """Return the asks of ``events``, each with what was known before it.

    Args:
        events: of :func:`~beauty_rec.events.asked.split_events`; ``context`` is the text.
        reviews: rows of split_reviews that histories may reach into, the events among them.
        profiles: ``user_profiles``.
        tower: the user tower that is asked.
        space: the items.
        texts: unit vectors of the distinct texts, by text.
        tower_reads: bool ``[Q]``, whose texts the user tower understands.
        known: the events of ``reviews`` and the space's items, where they have been read before.
    """
    rows = rows_of(events["review_id"], reviews["review_id"].to_list())
    known = read_events(reviews, space.ids) if known is None else known
    requests = tower.knowledge(known, texts, profiles).requests(rows, tower.as_of_ms)
    vectors = _vectors(events["context"].to_list(), texts)
    requests = requests.with_contexts(np.where(tower_reads[:, None], vectors, 0))
    queries = queries_from(events, profiles)
    seen = [np.unique(known.seen(row)) for row in rows]
    return Asks(queries, requests, vectors, seen)


def _vectors(asked: Sequence[str | None], texts: Vectors) -> np.ndarray:
    row_of = {text: row for row, text in enumerate(texts.ids)}
    out = np.zeros((len(asked), texts.matrix.shape[1]), np.float32)
    for row, text in enumerate(asked):
        place = row_of.get((text or "").strip())
        if place is not None:
            out[row] = texts.matrix[place]
    return out
