"""Candidates by words: BM25 of the ask's text over the items' texts."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.space import ItemSpace
from beauty_rec.retriever.lexical import LexicalIndex


@dataclass(frozen=True)
class LexicalSource:
    """``rows``: int64, the row of the item space of each text of the index; -1 for none."""

    index: LexicalIndex
    rows: NDArray[np.int64]
    name: ClassVar[str] = "lexical"
    reads_text: ClassVar[bool] = True
    signed: ClassVar[bool] = False

    @classmethod
    def of(cls, index: LexicalIndex, space: ItemSpace) -> "LexicalSource":
        """Return the source on an item space."""
        return cls(index, space.rows(index.ids))

    def scores(self, asks: Asks, space: ItemSpace) -> NDArray[np.float32]:
        """Return float32 ``[Q, N]``: BM25."""
        out = np.zeros((len(asks), len(space)), np.float32)
        known = self.rows >= 0
        asked = np.flatnonzero(asks.has_text)
        texts = [asks.queries[int(row)].context or "" for row in asked]
        found = self.index.scores(texts)
        for row, own in zip(asked, found, strict=True):
            out[row, self.rows[known]] = own[known]
        return out
