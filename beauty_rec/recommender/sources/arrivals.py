"""Candidates by novelty: items that nobody has bought yet, or only of late."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from beauty_rec.events.arrays import DAY_MS
from beauty_rec.ranking.features.item_events import NEVER
from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.space import ItemSpace

FADES_DAYS = 60.0


@dataclass(frozen=True)
class ArrivalsSource:
    """``exp(-age / 60 days)`` since an item's first event; 1 for an item that has none.

    ``rows``: int64, the row of the item space of each item of the table.
    """

    table: ItemTable
    rows: NDArray[np.int64]
    name: ClassVar[str] = "new_arrivals"
    reads_text: ClassVar[bool] = False
    signed: ClassVar[bool] = False

    def scores(self, asks: Asks, space: ItemSpace) -> NDArray[np.float32]:
        """Return float32 ``[Q, N]``."""
        first = np.full(len(space), NEVER)
        known = self.rows >= 0
        first[self.rows[known]] = self.table.events.first_ms[:-1][known]
        time = np.array([query.time_ms for query in asks.queries])[:, None]
        age = np.where(first == NEVER, 0.0, np.maximum(time - first, 0) / DAY_MS)
        return np.exp(-age / FADES_DAYS).astype(np.float32)
