"""Candidates by company: items that the buyers of the past items took as well."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.space import ItemSpace


@dataclass(frozen=True)
class ItemToItemSource:
    """The summed co-purchase similarity of an item with those of the past.

    ``rows``: int64, the row of the item space of each item of the table.
    """

    table: ItemTable
    rows: NDArray[np.int64]
    name: ClassVar[str] = "item_to_item"
    reads_text: ClassVar[bool] = False
    signed: ClassVar[bool] = False

    def scores(self, asks: Asks, space: ItemSpace) -> NDArray[np.float32]:
        """Return float32 ``[Q, N]``; 0 without a past, and for what nobody took along."""
        table, out = self.table, np.zeros((len(asks), len(space)), np.float32)
        similar = table.events.similar
        for row, query in enumerate(asks.queries):
            past = [table.row_of[i] for i in dict.fromkeys(query.history) if i in table.row_of]
            if past:
                company = similar[past].tocoo()
                known = company.col < len(table.ids)
                places = self.rows[company.col[known]]
                np.add.at(out[row], places[places >= 0], company.data[known][places >= 0])
        return out
