"""Candidates by popularity: what sells, within the occasion that is asked for."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from beauty_rec.ranking.features.build import Query
from beauty_rec.ranking.features.context_events import FLOOR
from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.space import ItemSpace

BACKOFF = 0.1
"""Weight of what sells in all, beside what sells within the occasion."""


@dataclass(frozen=True)
class PopularSource:
    """``log(decayed events / 0.1 + 1)`` of an item, of an occasion by the table's first half-life.

    Attributes:
        table: what train says of the items.
        places: int64 ``[N]``, the row of the table of each item of the space.
        half_life_days: of what sells in all: that of the user tower, which valid found best by
            itself, or the table's nearest.
    """

    table: ItemTable
    places: NDArray[np.int64]
    half_life_days: float
    name: ClassVar[str] = "popular"
    reads_text: ClassVar[bool] = False
    signed: ClassVar[bool] = False

    def scores(self, asks: Asks, space: ItemSpace) -> NDArray[np.float32]:
        """Return float32 ``[Q, N]``; without a known occasion what sells in all."""
        out = np.empty((len(asks), len(space)), np.float32)
        for row, query in enumerate(asks.queries):
            occasion = self.key(query)
            out[row] = BACKOFF * self._overall if occasion is not None else self._overall
            if occasion is not None:
                sold = self.table.events.in_context.log_counts(occasion)
                out[row] += sold[self.places] - np.log(FLOOR)
        return out

    def key(self, query: Query) -> int | None:
        """Return the occasion: asks of one get the same scores."""
        return self.table.context_row_of.get((query.context or "").strip().lower())

    @cached_property
    def _overall(self) -> NDArray[np.float32]:
        """What sells in all, float32 ``[N]``."""
        counts = self.table.events.popularity(self.half_life_days)
        return np.asarray(counts[self.places] - np.log(FLOOR), dtype=np.float32)
