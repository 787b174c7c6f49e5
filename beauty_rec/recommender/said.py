"""What each source says to an ask: all items scored at once, the best of them exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import threshold

from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.scored import (
    Common,
    CommonScores,
    Rows,
    Scored,
    Scores,
    are_in,
    first_of,
)
from beauty_rec.recommender.sources import AnySource
from beauty_rec.recommender.sources.protocol import (
    KeyedSource,
    ScoreSource,
    VectorSource,
    asks_matrix,
    has_key,
    knows_few,
)
from beauty_rec.recommender.space import ItemSpace
from beauty_rec.search.near_ties import SLACK
from beauty_rec.search.top import leading

OTHERS = 4
"""Of so many places of a source with items that are alike to it one is of its other items: on valid
of the sample the source finds more than with none for these, and all sources find as much."""
REFERENCE = 100
"""The candidate of a source that its scale ends with, however many are asked for."""


class Said(Protocol):
    """What a source says to one ask, of the N items that are not hidden from it."""

    def best(self, depth: int, among: Rows | None = None) -> tuple[Rows, Scores]:
        """Return rows and scores of its best, best first: of the rows ``among`` alone, if given.

        These are ascending, as what is hidden; ties are in the order of the rows.
        """
        ...

    def at(self, rows: Rows) -> Scores:
        """Return the scores of some rows, NaN where it says nothing."""
        ...


@dataclass(frozen=True)
class Products:
    """What a query vector says: float32 ``[N]`` of the first pass, exact where it counts."""

    scores: torch.Tensor
    query: NDArray[np.float32]
    space: ItemSpace

    def best(self, depth: int, among: Rows | None = None) -> tuple[Rows, Scores]:
        """See :class:`Said`."""
        return self.space.best(self.scores, self.query, depth, among)

    def at(self, rows: Rows) -> Scores:
        """See :class:`Said`."""
        known = torch.isfinite(self.scores[torch.from_numpy(rows)]).numpy()
        return np.where(known, self.space.exact(rows, self.query), np.float32(np.nan))


@dataclass(frozen=True)
class Plain:
    """What a source says with an array of its own, float32 ``[N]``; ``-inf`` for nothing."""

    scores: torch.Tensor

    def best(self, depth: int, among: Rows | None = None) -> tuple[Rows, Scores]:
        """See :class:`Said`."""
        own = self.scores if among is None else self.scores[torch.from_numpy(among)]
        found, values = leading(own.numpy(), depth + SLACK)
        return first_of(found if among is None else among[found], values, depth)

    def at(self, rows: Rows) -> Scores:
        """See :class:`Said`."""
        own = self.scores[torch.from_numpy(rows)].numpy()
        return np.where(np.isfinite(own), own, np.float32(np.nan))


@dataclass(frozen=True)
class Shared:
    """What a source says of few items, or to many asks, less what is hidden from this one."""

    scored: Scored
    hidden: Rows

    def best(self, depth: int, among: Rows | None = None) -> tuple[Rows, Scores]:
        """See :class:`Said`."""
        if among is None:
            return self.scored.best(self.hidden, depth)
        return self._dense.best(depth, among)

    def at(self, rows: Rows) -> Scores:
        """See :class:`Said`."""
        return self.scored.at(rows)

    @cached_property
    def _dense(self) -> Plain:
        """All scores: made only where single rows are looked at."""
        return Plain(self.scored.dense(self.hidden))


@dataclass(frozen=True)
class Apart:
    """What a source says that knows many items as ``alike``: most of its best are of these.

    They are in the order of ``judge``. One place in :data:`OTHERS` is of the other items; where
    either are short, the others fill up.
    """

    own: Shared
    alike: Rows
    judge: Said

    def best(self, depth: int, among: Rows | None = None) -> tuple[Rows, Scores]:
        """See :class:`Said`."""
        if among is None:
            rows, values = self.own.best(depth)  # shared scores leave out what is alike
            ties = self.alike
        else:
            is_alike = are_in(among, self.alike)
            rows, values = self.own.best(depth, among[~is_alike])
            ties = among[is_alike]
        best, _ = self.judge.best(depth - min(len(rows), depth // OTHERS), ties)
        left = depth - len(best)
        return np.concatenate([best, rows[:left]]), np.concatenate([self.at(best), values[:left]])

    def at(self, rows: Rows) -> Scores:
        """See :class:`Said`."""
        return self.own.at(rows)


def hear(
    sources: Sequence[AnySource],
    asks: Asks,
    space: ItemSpace,
    *,
    names: Sequence[str] | None,
    gone: Rows,
    depths: Sequence[int],
    common: CommonScores,
) -> list[list[Said | None]]:
    """Return what each source says to each ask; None where it cannot answer, or is not asked.

    All query vectors meet the matrix in one pass.

    Args:
        sources: in the order of the columns.
        asks: Q of them.
        space: the N items.
        names: of the sources that are asked; None: all.
        gone: rows that are hidden from all asks.
        depths: how many candidates each ask takes of a source.
        common: of these sources and items, from earlier asks.
    """
    hidden = [np.sort(np.concatenate([seen, gone])) for seen in asks.seen]
    asked = [source for source in sources if names is None or source.name in names]
    if not asks.has_text.any():
        asked = [source for source in asked if not source.reads_text]
    columns: dict[str, Sequence[Said | None]] = _products(
        [source for source in asked if asks_matrix(source)], asks, space, hidden
    )
    for source in asked:
        if knows_few(source):
            columns[source.name] = list(map(Shared, source.few(asks, space), hidden))
        elif has_key(source):
            scored = _common(source, asks, space, common, gone, depths)
            columns[source.name] = list(map(Shared, scored, hidden))
        elif not asks_matrix(source):
            columns[source.name] = _plain(source, asks, space, hidden)
    silent: list[Said | None] = [None] * len(asks)
    said = zip(*(columns.get(source.name, silent) for source in sources), strict=True)
    alike = [_alike_to(source) for source in sources]
    return [_apart(row, alike) for row in said]


def arrays_of(sources: Sequence[AnySource], asks: Asks) -> int:
    """Return how many arrays of all items an ask takes."""
    texts = bool(asks.has_text.any())
    return max(1, sum(
        not (knows_few(source) or has_key(source)) and (texts or not source.reads_text)
        for source in sources
    ))  # fmt: skip


def _able(source: AnySource, asks: Asks) -> NDArray[np.bool_]:
    """Return which asks a source can answer."""
    return asks.has_text if source.reads_text else np.ones(len(asks), bool)


def _products(
    sources: Sequence[VectorSource], asks: Asks, space: ItemSpace, hidden: Sequence[Rows]
) -> dict[str, Sequence[Said | None]]:
    """Return what the sources that ask the matrix say, by name."""
    able = {source.name: _able(source, asks) for source in sources}
    queries = {source.name: source.vectors(asks, space) for source in sources}
    stacked = [queries[name][able[name]] for name in queries]
    scores = iter(space.scores(np.concatenate(stacked)) if stacked else ())
    found: dict[str, Sequence[Said | None]] = {}
    for source in sources:
        silent = source.silent(space)
        own: list[Said | None] = [None] * len(asks)
        for row in np.flatnonzero(able[source.name]).tolist():
            said = _without(next(scores), hidden[row])
            if silent is not None:
                said[torch.from_numpy(silent)] = -torch.inf
            own[row] = Products(said, queries[source.name][row], space)
        found[source.name] = own
    return found


def _plain(
    source: ScoreSource, asks: Asks, space: ItemSpace, hidden: Sequence[Rows]
) -> list[Said | None]:
    """Return what a source says with arrays of its own."""
    scores = torch.from_numpy(source.scores(asks, space))
    scores = threshold(scores, 0.0, -torch.inf, inplace=True)
    return [
        Plain(_without(own, rows)) if able else None
        for own, rows, able in zip(scores, hidden, _able(source, asks), strict=True)
    ]


def _common(
    source: KeyedSource,
    asks: Asks,
    space: ItemSpace,
    common: CommonScores,
    gone: Rows,
    depths: Sequence[int],
) -> list[Common]:
    """Return the scores of a source that says the same to all asks of one key."""
    found: list[Common] = []
    for number, query in enumerate(asks.queries):

        def make(number: int = number) -> Common:
            one, depth = asks.part(slice(number, number + 1)), max(depths[number], REFERENCE)
            return Common(source.scores(one, space)[0], gone, depth, _alike_to(source))

        found.append(common.of((source.name, source.key(query)), gone, make))
    return found


def _apart(row: Sequence[Said | None], alike: Sequence[Rows | None]) -> list[Said | None]:
    """Return what the sources say to an ask, those with items that are alike to them split up.

    The first source that asks the matrix is their judge, which is the user tower; or they are.
    """
    judge = next((own for own in row if isinstance(own, Products)), None)
    return [
        Apart(own, ties, judge or own) if isinstance(own, Shared) and ties is not None else own
        for own, ties in zip(row, alike, strict=True)
    ]


def _without(scores: torch.Tensor, hidden: Rows) -> torch.Tensor:
    """Return the scores with the hidden ones set to nothing, in place."""
    scores[torch.from_numpy(hidden)] = -torch.inf
    return scores


def _alike_to(source: AnySource) -> Rows | None:
    """Return the rows that are ``alike`` to a source with a key; None where there are none."""
    rows: Rows | None = getattr(source, "alike", None) if has_key(source) else None
    return None if rows is None or not len(rows) else rows
