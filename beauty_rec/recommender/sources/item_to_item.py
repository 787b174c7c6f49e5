"""Candidates by company: items that the buyers of the past items took as well."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.scored import Few
from beauty_rec.recommender.space import ItemSpace

_NONE, _NOTHING = np.zeros(0, np.int64), np.zeros(0, np.float32)


@dataclass(frozen=True)
class ItemToItemSource:
    """The summed co-purchase similarity of an item with those of the past.

    ``rows``: int64, the row of the item space of each row of the table; -1: none.
    """

    table: ItemTable
    rows: NDArray[np.int64]
    name: ClassVar[str] = "item_to_item"
    reads_text: ClassVar[bool] = False
    signed: ClassVar[bool] = False

    def scores(self, asks: Asks, space: ItemSpace) -> NDArray[np.float32]:
        """Return float32 ``[Q, N]``; 0 without a past, and for what nobody took along."""
        out = np.zeros((len(asks), len(space)), np.float32)
        for row, few in enumerate(self.few(asks, space)):
            out[row, few.rows] = few.scores
        return out

    def few(self, asks: Asks, space: ItemSpace) -> list[Few]:
        """Return the same for each ask, of the items alone that anybody took along."""
        table, found = self.table, []
        similar, data = table.events.similar, table.events.similar.data
        for query in asks.queries:
            past = [table.row_of[i] for i in dict.fromkeys(query.history) if i in table.row_of]
            parts = [slice(similar.indptr[row], similar.indptr[row + 1]) for row in past]
            columns = np.concatenate([_NONE, *(similar.indices[part] for part in parts)])
            scores = np.concatenate([_NOTHING, *(data[part] for part in parts)])
            known = columns < len(table.ids)
            rows, scores = self.rows[columns[known]], scores[known]
            here, place = np.unique(rows[rows >= 0], return_inverse=True)
            sums = np.bincount(place, scores[rows >= 0], len(here)).astype(np.float32)
            found.append(Few(here, sums, len(space)))
        return found
