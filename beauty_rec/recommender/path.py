"""The answer path: from asks to ordered candidates, for events of the past and shoppers alike."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from beauty_rec.ranking.features.build import Candidates, FeatureBuilder, Query
from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.ranking.ranker import Ranker
from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.candidates import Found, find_candidates
from beauty_rec.recommender.fusion import normalised
from beauty_rec.recommender.learned import retrieval
from beauty_rec.recommender.orders import Kind, Orders
from beauty_rec.recommender.scored import CommonScores
from beauty_rec.recommender.sources import SIGNED, TEXT_SOURCES, AnySource, sources_of
from beauty_rec.recommender.space import ItemSpace
from beauty_rec.retriever.item_words import ItemWords
from beauty_rec.search.near_ties import ranked
from beauty_rec.towers.users.served import ServedUserTower


@dataclass(frozen=True)
class Ordered:
    """Candidates of one ask, best first.

    Attributes:
        rows: int64 ``[C]``, of the item space.
        scores: float32 ``[C]``, of the served order.
        values: float32 ``[C, S]``, what each source says, on one scale.
        probability: float32 ``[C]``, calibrated, where a learned order was asked; or None.
        order: the name of the served order.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    values: NDArray[np.float32]
    found: Found
    probability: NDArray[np.float32] | None
    order: str


@dataclass(frozen=True)
class AnswerPath:
    """All that answers are computed with.

    Attributes:
        space: the items.
        tower: the user tower.
        words: of the items' texts and titles.
        table: what train says of the items now, for the sources.
        builder: of the features of the learned orders; its counts are of when they were trained.
        models: the learned orders, by name.
        orders: their weights, and which one is served.
        reads_texts: the user tower was trained with free texts, not with occasions alone.
    """

    space: ItemSpace
    tower: ServedUserTower
    words: ItemWords
    table: ItemTable
    builder: FeatureBuilder
    models: Mapping[str, Ranker]
    orders: Orders
    reads_texts: bool

    @cached_property
    def sources(self) -> Sequence[AnySource]:
        """The sources of candidates, in the order of their columns."""
        return sources_of(self.space, self.tower, self.words, self.table)

    @cached_property
    def common(self) -> CommonScores:
        """What sources say to all asks of a day or an occasion, kept from one ask to the next."""
        return CommonScores()

    def kind_of(self, text: str | None) -> Kind:
        """Return what kind of ask a text makes."""
        return kind_of(text, self.builder.table, self.reads_texts)

    def tower_reads(self, text: str | None) -> bool:
        """Whether the user tower is told such a text."""
        return tower_reads(text, self.table, self.reads_texts)

    def answer(
        self,
        asks: Asks,
        depth: int | Sequence[int],
        *,
        chosen: Sequence[Sequence[str]] | None = None,
        gone: NDArray[np.int64] | None = None,
        allowed: Sequence[NDArray[np.bool_] | None] | None = None,
        least: Sequence[int] | None = None,
        pinned: Sequence[Sequence[NDArray[np.int64]]] | None = None,
    ) -> Iterator[Ordered]:
        """Yield the candidates of each ask in the order that is served.

        The arguments are those of :func:`~beauty_rec.recommender.candidates.find_candidates`.
        """
        kinds = [self.kind_of(query.context) for query in asks.queries]
        served = [self.orders.served[kind] for kind in kinds]
        found = find_candidates(
            self.sources, asks, self.space, depth, chosen=chosen, gone=gone, allowed=allowed,
            least=least, pinned=pinned, common=self.common,
        )  # fmt: skip
        return self._ordered(asks, list(found), kinds, served)

    def search(
        self,
        asks: Asks,
        depth: int | Sequence[int],
        order: str,
        *,
        gone: NDArray[np.int64] | None = None,
        allowed: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> Iterator[Ordered]:
        """Yield the candidates of each ask by its text alone, or by any other single source.

        Args:
            asks: each with a text, where the order reads one.
            depth, gone, allowed: as in :func:`~beauty_rec.recommender.candidates.find_candidates`.
            order: ``hybrid``, or the name of a source.
        """
        names = TEXT_SOURCES if order == "hybrid" else (order,)
        found = find_candidates(
            self.sources, asks, self.space, depth, gone=gone, allowed=allowed, heard=names,
            common=self.common,
        )  # fmt: skip
        kinds: list[Kind] = ["text"] * len(asks)
        return self._ordered(asks, list(found), kinds, [order] * len(asks))

    def _ordered(
        self, asks: Asks, found: Sequence[Found], kinds: Sequence[Kind], served: Sequence[str]
    ) -> Iterator[Ordered]:
        values = [normalised(part.scores, part.tops, SIGNED) for part in found]
        learned: dict[str, list[NDArray[np.float32]]] = {}
        for name, model in self.models.items():
            needing = [
                name in self.orders.needs(order, kind)
                for order, kind in zip(served, kinds, strict=True)
            ]
            if any(needing):
                learned[name] = self._learned(model, asks.queries, found, values)
        for row, part in enumerate(found):
            needed = self.orders.needs(served[row], kinds[row])
            own: dict[str, NDArray[np.float32]] = {
                name: learned[name][row] for name in needed if name in learned
            }
            scores = self.orders.scores(served[row], kinds[row], values[row], own)
            order = ranked(scores, part.rows)
            said = next(iter(own), None)
            probability = None if said is None else self.models[said].calibrated(own[said])
            yield Ordered(
                part.rows[order],
                scores[order],
                values[row][order],
                Found(part.rows[order], part.scores[order], part.tops),
                None if probability is None else probability[order],
                served[row],
            )

    def _learned(
        self,
        model: Ranker,
        queries: Sequence[Query],
        found: Sequence[Found],
        values: Sequence[NDArray[np.float32]],
    ) -> list[NDArray[np.float32]]:
        """Return a model's probabilities for the candidates of each ask."""
        lengths = [len(part.rows) for part in found]
        if not sum(lengths):
            return [np.zeros(0, np.float32) for _ in found]
        candidates = Candidates(
            np.repeat(np.arange(len(found)), lengths),
            [self.space.ids[row] for part in found for row in part.rows.tolist()],
            retrieval(np.concatenate(values)),
        )
        scores = model.probabilities(self.builder.build(queries, candidates))
        return np.split(scores, np.cumsum(lengths)[:-1])

    def with_items(
        self,
        names: Sequence[str],
        vectors: NDArray[np.float32],
        texts: Sequence[str],
        titles: Sequence[str],
        sparse: NDArray[np.int32],
        prices: NDArray[np.float32],
    ) -> "AnswerPath":
        """Return the path that has these items too.

        Args:
            names: distinct ids.
            vectors: rows of the item matrix, float32 ``[M, W]``.
            texts: as the text retriever reads them.
            titles: of the items; empty where there is none.
            sparse: int32 ``[M, S + R]``, ids of the vocabulary.
            prices: float32 ``[M]``, NaN where there is none.
        """
        return replace(
            self,
            space=self.space.with_items(names, vectors),
            words=self.words.with_items(names, texts, titles),
            table=self.table.with_items(list(names), sparse, prices),
            builder=replace(
                self.builder, table=self.builder.table.with_items(list(names), sparse, prices)
            ),
        )


def kind_of(text: str | None, table: ItemTable, reads_texts: bool) -> Kind:
    """Return what kind of ask a text makes: see :data:`~beauty_rec.recommender.orders.Kind`."""
    plain = (text or "").strip().lower()
    if not plain:
        return "nothing"
    return "occasion" if not reads_texts and plain in table.context_row_of else "text"


def tower_reads(text: str | None, table: ItemTable, reads_texts: bool) -> bool:
    """Whether a user tower is told such a text: an occasion, or any that it was trained with.

    It is trained as it is asked: see :func:`~beauty_rec.events.occasions.with_told_contexts`.
    """
    return reads_texts or kind_of(text, table, reads_texts) == "occasion"
