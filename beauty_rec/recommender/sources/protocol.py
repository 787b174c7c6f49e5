"""A source of candidates: what scores every item for an ask, by one kind of evidence.

A source is one file. It answers either with query vectors, which are held against the item matrix
in one pass together with those of the other sources, or with scores of its own.
"""

from collections.abc import Hashable
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypeIs

from beauty_rec.ranking.features.build import Query
from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.scored import Few
from beauty_rec.recommender.space import ItemSpace


class Source(Protocol):
    """What every source says of itself.

    Attributes:
        name: in settings, reports and answers.
        reads_text: it answers only an ask that has a text.
        signed: its scores may lie anywhere; the others' are 0 for nothing, and positive.
    """

    name: ClassVar[str]
    reads_text: ClassVar[bool]
    signed: ClassVar[bool]


class VectorSource(Source, Protocol):
    """A source that asks the item matrix."""

    def vectors(self, asks: Asks, space: ItemSpace) -> NDArray[np.float32]:
        """Return float32 ``[Q, W]``; an item's score is its inner product with it."""
        ...

    def silent(self, space: ItemSpace) -> NDArray[np.bool_] | None:
        """Return which rows it says nothing of, bool ``[N]``; None: it knows all."""
        ...


class ScoreSource(Source, Protocol):
    """A source that scores items by itself."""

    def scores(self, asks: Asks, space: ItemSpace) -> NDArray[np.float32]:
        """Return float32 ``[Q, N]``, at least 0; 0 where it has nothing to say."""
        ...


class FewSource(ScoreSource, Protocol):
    """One that knows few items of each ask: those alone are looked at."""

    def few(self, asks: Asks, space: ItemSpace) -> list[Few]:
        """Return the same as ``scores`` for each of Q asks."""
        ...


class KeyedSource(ScoreSource, Protocol):
    """One that says the same to many asks: its best are sought once for all of them.

    It may have ``alike``, int64 rows, ascending: items that it knows nothing of but that they are
    its best. Three quarters of its candidates are of these, in the order of the first source that
    asks the item matrix, which is the user tower; the rest are the best of its other items.
    """

    def key(self, query: Query) -> Hashable:
        """Return what its scores depend on: asks of one key get the same."""
        ...


def asks_matrix(source: Source) -> TypeIs[VectorSource]:
    """Whether a source answers with query vectors."""
    return hasattr(source, "vectors")


def knows_few(source: Source) -> TypeIs[FewSource]:
    """Whether a source knows few items of each ask."""
    return hasattr(source, "few")


def has_key(source: Source) -> TypeIs[KeyedSource]:
    """Whether a source says the same to all asks of one key."""
    return hasattr(source, "key")
