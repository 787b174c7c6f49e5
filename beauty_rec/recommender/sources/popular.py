"""Candidates by popularity: what sells of late, within the occasion that is asked for."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.space import ItemSpace

FLOOR = 0.1
"""Events that a logarithm of a count starts from, as in ItemEvents."""
BACKOFF = 0.1
"""Weight of what sells in all, beside what sells within the occasion."""


@dataclass(frozen=True)
class PopularSource:
    """``log(decayed events / 0.1 + 1)`` of an item, with the shortest half-life of an occasion.

    ``rows``: int64, the row of the item space of each item of the table.
    """

    table: ItemTable
    rows: NDArray[np.int64]
    name: ClassVar[str] = "popular"
    reads_text: ClassVar[bool] = False
    signed: ClassVar[bool] = False

    def scores(self, asks: Asks, space: ItemSpace) -> NDArray[np.float32]:
        """Return float32 ``[Q, N]``; without a known occasion what sells in all."""
        events, out = self.table.events, np.zeros((len(asks), len(space)), np.float32)
        known = self.rows >= 0
        here = self.rows[known]
        for row, query in enumerate(asks.queries):
            place = self.table.context_row_of.get((query.context or "").strip().lower())
            if place is None:
                out[row, here] = self._overall[known]
            else:
                within = events.log_context[0, place, :-1] - np.log(FLOOR)
                out[row, here] = (within + BACKOFF * self._overall)[known]
        return out

    @cached_property
    def _overall(self) -> NDArray[np.float32]:
        counts = self.table.events.log_popularity[:, :-1] - np.log(FLOOR)
        return np.asarray(counts[len(counts) // 2], dtype=np.float32)
