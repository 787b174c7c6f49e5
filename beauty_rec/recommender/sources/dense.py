"""Candidates by the text retriever: items whose texts lie near the text that is asked for."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.space import ItemSpace


@dataclass(frozen=True)
class DenseSource:
    """The cosine of the ask's text with the item's."""

    name: ClassVar[str] = "text_retriever"
    reads_text: ClassVar[bool] = True
    signed: ClassVar[bool] = False

    def vectors(self, asks: Asks, space: ItemSpace) -> NDArray[np.float32]:
        """Return float32 ``[Q, W]``."""
        return space.text_queries(asks.texts)

    def silent(self, space: ItemSpace) -> NDArray[np.bool_] | None:
        """Return the items without a text."""
        return ~space.has_text
