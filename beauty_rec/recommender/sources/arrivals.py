"""Candidates by novelty: items that nobody has bought yet, or only of late."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from beauty_rec.events.arrays import DAY_MS
from beauty_rec.ranking.features.build import Query
from beauty_rec.ranking.features.item_events import NEVER
from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.space import ItemSpace

FADES_DAYS = 60.0
MOST = 80.0
"""Of an exponent in float32."""


@dataclass(frozen=True)
class ArrivalsSource:
    """``exp(-age / 60 days)`` since an item's first event; 1 for an item that has none.

    The age is that at the beginning of the ask's day, so the asks of a day get the same scores.
    Items without an event are ``alike``: which of them an ask is answered with is the user tower's
    to say, and those that have sold of late have places beside them.

    ``places``: int64 ``[N]``, the row of the table of each item of the space.
    """

    table: ItemTable
    places: NDArray[np.int64]
    name: ClassVar[str] = "new_arrivals"
    reads_text: ClassVar[bool] = False
    signed: ClassVar[bool] = False

    def scores(self, asks: Asks, space: ItemSpace) -> NDArray[np.float32]:
        """Return float32 ``[Q, N]``."""
        # exp(first - now) of N items is exp(first - latest), times one number an ask.
        latest, fresh = self._fresh
        days = np.array([self.key(query) for query in asks.queries])
        since = (days * DAY_MS - latest) / DAY_MS
        faded = np.exp(np.clip(-since / FADES_DAYS, -MOST, MOST)).astype(np.float32)
        found: NDArray[np.float32] = np.minimum(faded[:, None] * fresh, np.float32(1))
        return found

    def key(self, query: Query) -> int:
        """Return the day: asks of one get the same scores."""
        return query.time_ms // DAY_MS

    @cached_property
    def alike(self) -> NDArray[np.int64]:
        """The rows of the space without an event, ascending."""
        return np.flatnonzero(self.table.events.first_ms[self.places] == NEVER)

    @cached_property
    def _fresh(self) -> tuple[int, NDArray[np.float32]]:
        """The latest first event, Unix ms, and what each item would score then, ``[N]``."""
        first = self.table.events.first_ms[self.places]
        known = first != NEVER
        latest = int(first[known].max(initial=0)) if known.any() else 0
        age = np.where(known, latest - first, 0) / DAY_MS
        return latest, np.where(known, np.exp(-age / FADES_DAYS), np.inf).astype(np.float32)
