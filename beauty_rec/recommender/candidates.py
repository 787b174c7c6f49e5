"""Candidates: the union of what all sources find, with what each says of every one of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.said import REFERENCE, Said, arrays_of, hear
from beauty_rec.recommender.scored import CommonScores, Rows
from beauty_rec.recommender.sources import AnySource
from beauty_rec.recommender.space import ItemSpace
from beauty_rec.search.ranks import chunks


@dataclass(frozen=True)
class Found:
    """Candidates of one ask.

    Attributes:
        rows: int64 ``[C]``, rows of the item space, ascending.
        scores: float32 ``[C, S]``, of each source; NaN where it says nothing.
        tops: float32 ``[S, 2]``: the best score of each source among the items that may be
            answered, and that of its hundredth, or of its last; NaN where it found none.
    """

    rows: Rows
    scores: NDArray[np.float32]
    tops: NDArray[np.float32]


def find_candidates(
    sources: Sequence[AnySource],
    asks: Asks,
    space: ItemSpace,
    depth: int | Sequence[int],
    *,
    chosen: Sequence[Sequence[str]] | None = None,
    gone: Rows | None = None,
    allowed: Sequence[NDArray[np.bool_] | None] | None = None,
    heard: Sequence[str] | None = None,
    least: Sequence[int] | None = None,
    pinned: Sequence[Sequence[Rows]] | None = None,
    common: CommonScores | None = None,
) -> Iterator[Found]:
    """Yield the candidates of each ask: of every source the ``depth`` best unseen items.

    What a source says of an item is scaled among all unseen items, so a filter changes which items
    are answered, and not how they score.

    Args:
        sources: in the order of the columns.
        asks: Q of them.
        space: the items.
        depth: candidates of a source, the same for all asks or one number for each.
        chosen: names of the sources that may bring candidates to each ask; None: all.
        gone: rows that nobody is to be answered with.
        allowed: bool ``[N]`` for each ask, the rows that pass its filters; None: all.
        heard: names of the sources that are asked at all; None: every one. The others say nothing.
        least: candidates that each ask with a filter has at least, as long as as many pass: where
            the chosen sources bring fewer, the best of the other ones fill up.
        pinned: rows for each ask; the best unseen of each array is a candidate in any case.
        common: of these sources and items, from earlier asks.
    """
    common = CommonScores() if common is None else common
    hidden = np.zeros(0, np.int64) if gone is None else gone
    depths = [depth] * len(asks) if isinstance(depth, int) else depth
    for part in chunks(len(asks), len(space) * arrays_of(sources, asks)):
        said = hear(
            sources, asks.part(part), space,
            names=heard, gone=hidden, depths=depths[part], common=common,
        )  # fmt: skip
        for number, own in enumerate(said, start=part.start):
            brings = [chosen is None or source.name in chosen[number] for source in sources]
            mask = None if allowed is None else allowed[number]
            passing = None if mask is None else np.flatnonzero(mask)
            rows, tops = _union(own, brings, depths[number], passing)
            if passing is not None and least is not None:
                rows = _filled(rows, own, passing, least[number])
            if pinned is not None:
                best = [_first(own, one, mask) for one in pinned[number]]
                rows = _distinct([rows, *best])
            yield Found(rows, _table(rows, own), tops)


def _union(
    said: Sequence[Said | None], brings: Sequence[bool], depth: int, passing: Rows | None
) -> tuple[Rows, NDArray[np.float32]]:
    """Return the best rows of the sources that bring any, and the ``tops`` of all."""
    tops = np.full((len(said), 2), np.nan, np.float32)
    found: list[Rows] = []
    for column, own in enumerate(said):
        if own is None:
            continue
        rows, values = own.best(REFERENCE)
        if len(rows):
            tops[column] = values[0], values[-1]
        if brings[column]:
            as_it_is = passing is None and depth == REFERENCE
            found.append(rows if as_it_is else own.best(depth, passing)[0])
    return _distinct(found), tops


def _table(rows: Rows, said: Sequence[Said | None]) -> NDArray[np.float32]:
    """Return what each source says of each row, float32 ``[C, S]``."""
    table = np.full((len(rows), len(said)), np.nan, np.float32)
    for column, own in enumerate(said):
        if own is not None:
            table[:, column] = own.at(rows)
    return table


def _distinct(found: Sequence[Rows]) -> Rows:
    """Return ``np.unique`` of all rows, which takes ten times as long for some hundred of them."""
    rising = np.sort(np.concatenate([np.zeros(0, np.int64), *found]))
    kept = np.ones(len(rising), bool)
    np.not_equal(rising[1:], rising[:-1], out=kept[1:])
    return rising[kept]


def _filled(union: Rows, said: Sequence[Said | None], passing: Rows, least: int) -> Rows:
    """Return the candidates with the best further rows of each source in turn, ``least`` in all."""
    for own in said:
        if own is not None and len(union) < least:
            missing = np.setdiff1d(passing, union, assume_unique=True)
            union = np.union1d(union, own.best(least - len(union), missing)[0])
    return union


def _first(said: Sequence[Said | None], rows: Rows, allowed: NDArray[np.bool_] | None) -> Rows:
    """Return the best of ``rows`` by the first source that knows any of them; or nothing."""
    rows = np.sort(rows if allowed is None else rows[allowed[rows]])
    for own in said:
        if own is not None and len(rows):
            best, _ = own.best(1, rows)
            if len(best):
                return best
    return rows[:0]
