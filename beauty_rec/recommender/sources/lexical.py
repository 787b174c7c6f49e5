"""Candidates by words: BM25 of the ask's text over the items' texts."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.space import ItemSpace
from beauty_rec.retriever.lexical import LexicalIndex


@dataclass(frozen=True)
class LexicalSource:
    """``places``: int64 ``[N]``, the text of each item of the space; -1 for none."""

    index: LexicalIndex
    places: NDArray[np.int64]
    name: ClassVar[str] = "lexical"
    reads_text: ClassVar[bool] = True
    signed: ClassVar[bool] = False

    @classmethod
    def of(cls, index: LexicalIndex, space: ItemSpace) -> Self:
        """Return the source on an item space."""
        text_of = {name: number for number, name in enumerate(index.ids)}
        places = (text_of.get(name, -1) for name in space.ids)
        return cls(index, np.fromiter(places, np.int64, len(space)))

    def scores(self, asks: Asks, space: ItemSpace) -> NDArray[np.float32]:
        """Return float32 ``[Q, N]``: BM25."""
        out = np.zeros((len(asks), len(space)), np.float32)
        asked = np.flatnonzero(asks.has_text)
        texts = [asks.queries[int(row)].context or "" for row in asked]
        found = self.index.scores(texts, room=1)  # what lies beyond all texts is 0
        for row, own in zip(asked, found, strict=True):
            np.take(own, self.places, out=out[row])
        return out
