"""Candidates: the union of what all sources find, with what each says of every one of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import threshold

from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.scored import Common, CommonScores, Scored, are_in
from beauty_rec.recommender.sources import AnySource
from beauty_rec.recommender.space import ItemSpace
from beauty_rec.search.near_ties import SLACK, ranked
from beauty_rec.search.ranks import chunks
from beauty_rec.search.top import leading

Own = torch.Tensor | Scored
"""What a source says of every item to one ask."""
OTHERS = 4
"""Of so many places of a source with items that are alike to it one is of its other items: on valid
of the sample the source finds more than with none for these, and all sources find as much."""
REFERENCE = 100
"""The candidate of a source that its scale ends with, however many are asked for."""


@dataclass(frozen=True)
class Found:
    """Candidates of one ask.

    Attributes:
        rows: int64 ``[C]``, rows of the item space, ascending.
        scores: float32 ``[C, S]``, of each source; NaN where it says nothing.
        tops: float32 ``[S, 2]``: the best score of each source among the items that may be
            answered, and that of its hundredth, or of its last; NaN where it found none.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    tops: NDArray[np.float32]


def find_candidates(
    sources: Sequence[AnySource],
    asks: Asks,
    space: ItemSpace,
    depth: int | Sequence[int],
    *,
    chosen: Sequence[Sequence[str]] | None = None,
    gone: NDArray[np.int64] | None = None,
    allowed: Sequence[NDArray[np.bool_] | None] | None = None,
    heard: Sequence[str] | None = None,
    least: Sequence[int] | None = None,
    pinned: Sequence[Sequence[NDArray[np.int64]]] | None = None,
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
    for part in chunks(len(asks), len(space) * _arrays(sources, asks)):
        some = asks.part(part)
        scores, queries = _scores(sources, some, space, heard, common, hidden, depths[part])
        for row in range(len(some)):
            number = part.start + row
            yield _union(
                [None if block is None else block[row] for block in scores],
                [None if asked is None else asked[row] for asked in queries],
                [True if chosen is None else s.name in chosen[number] for s in sources],
                [_alike(source) for source in sources],
                space,
                some.seen[row],
                hidden,
                None if allowed is None else allowed[number],
                depths[number],
                0 if least is None else least[number],
                () if pinned is None else pinned[number],
            )


def _arrays(sources: Sequence[AnySource], asks: Asks) -> int:
    """Return how many arrays of all items an ask takes."""
    texts = bool(asks.has_text.any())
    return max(1, sum(
        not (hasattr(source, "few") or hasattr(source, "key")) and (texts or not source.reads_text)
        for source in sources
    ))  # fmt: skip


def _scores(
    sources: Sequence[AnySource],
    asks: Asks,
    space: ItemSpace,
    heard: Sequence[str] | None,
    common: CommonScores,
    gone: NDArray[np.int64],
    depths: Sequence[int],
) -> tuple[list[list[Own | None] | None], list[list[NDArray[np.float32] | None] | None]]:
    """Return each source's scores of all items for each ask, and its query where it has one.

    None where a source cannot answer an ask. All query vectors meet the matrix in one pass.
    """
    has_text = asks.has_text
    found: list[list[Own | None] | None] = []
    queries: list[list[NDArray[np.float32] | None] | None] = []
    stacked: list[NDArray[np.float32]] = []
    places: list[tuple[int, int]] = []
    for column, source in enumerate(sources):
        able = has_text if source.reads_text else np.ones(len(asks), bool)
        if not able.any() or (heard is not None and source.name not in heard):
            found.append(None)
            queries.append(None)
        elif hasattr(source, "vectors"):
            vectors = source.vectors(asks, space)
            found.append([None] * len(asks))
            queries.append([vectors[row] if able[row] else None for row in range(len(asks))])
            for row in np.flatnonzero(able):
                stacked.append(vectors[row])
                places.append((column, int(row)))
        elif hasattr(source, "few"):
            found.append([*source.few(asks, space)])
            queries.append(None)
        elif hasattr(source, "key"):
            found.append(_common(source, asks, space, common, gone, depths))
            queries.append(None)
        else:
            said = torch.from_numpy(source.scores(asks, space))
            own = threshold(said, 0.0, -torch.inf, inplace=True)
            found.append([own[row] if able[row] else None for row in range(len(asks))])
            queries.append(None)
    if stacked:
        products = space.scores(np.stack(stacked))
        for number, (column, place) in enumerate(places):
            block = found[column]
            assert block is not None
            block[place] = products[number]
            silent = sources[column].silent(space)  # type: ignore[union-attr]
            if silent is not None:
                products[number, torch.from_numpy(silent)] = -torch.inf
    return found, queries


def _union(
    given: Sequence[Own | None],
    queries: Sequence[NDArray[np.float32] | None],
    chosen: Sequence[bool],
    alike: Sequence[NDArray[np.int64] | None],
    space: ItemSpace,
    seen: NDArray[np.int64],
    gone: NDArray[np.int64],
    allowed: NDArray[np.bool_] | None,
    depth: int,
    least: int,
    pinned: Sequence[NDArray[np.int64]],
) -> Found:
    hidden = np.sort(np.concatenate([seen, gone]))
    single = allowed is not None or bool(pinned)  # what looks at single rows needs all scores
    scores = [own if own is None else _hidden(own, hidden, dense=single) for own in given]
    tops = np.full((len(scores), 2), np.nan, np.float32)
    parts: list[NDArray[np.int64]] = []
    passing = None if allowed is None else np.flatnonzero(allowed)
    for column, own in enumerate(scores):
        if own is None:
            continue
        most, ties = max(depth, REFERENCE), alike[column]
        if ties is not None:
            apart = partial(_apart, own, ties, scores, queries, space, hidden)
            rows, values = apart(REFERENCE, None)
        elif isinstance(own, torch.Tensor):
            rows, values = _best(own, queries[column], space, most)
        else:
            rows, values = own.best(hidden, most)
        if len(rows):
            tops[column] = values[0], values[:REFERENCE][-1]
        if chosen[column]:
            if ties is not None:
                if passing is not None or depth != REFERENCE:
                    rows, _ = apart(depth, passing)
            elif passing is not None and isinstance(own, torch.Tensor):
                rows, _ = _best(own, queries[column], space, depth, passing)
            parts.append(rows[:depth])
    union = _distinct(np.concatenate([np.zeros(0, np.int64), *parts]))
    every = [own if isinstance(own, torch.Tensor) else None for own in scores]
    if allowed is not None and len(union) < least:
        union = _filled(union, every, queries, space, allowed, least)
    if pinned:
        best = [_first(rows, every, queries, space, allowed) for rows in pinned]
        union = _distinct(np.concatenate([union, *best]))
    table = np.full((len(union), len(scores)), np.nan, np.float32)
    for column, own in enumerate(scores):
        if own is None:
            continue
        if not isinstance(own, torch.Tensor):
            table[:, column] = own.at(union)
            continue
        here = own[torch.from_numpy(union)].numpy()
        query = queries[column]
        exact = here if query is None else space.exact(union, query)
        table[:, column] = np.where(np.isfinite(here), exact, np.nan)
    return Found(union, table, tops)


def _apart(
    own: Own,
    alike: NDArray[np.int64],
    scores: Sequence[Own | None],
    queries: Sequence[NDArray[np.float32] | None],
    space: ItemSpace,
    hidden: NDArray[np.int64],
    depth: int,
    passing: NDArray[np.int64] | None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return rows and scores of a source's best, most of them of the rows that are alike to it.

    These are in the order of the first source that has a query, or of the rows if none has; one
    place in :data:`OTHERS` is of the other rows. Where either are short, the others fill up.
    """
    if isinstance(own, torch.Tensor):
        others = own.clone()
        others[torch.from_numpy(alike)] = -torch.inf
        rows, values = _best(others, None, space, depth, passing)
    else:
        rows, values = own.best(hidden, depth)
    asked = next((column for column, query in enumerate(queries) if query is not None), None)
    judge, query = (own, None) if asked is None else (scores[asked], queries[asked])
    if not isinstance(judge, torch.Tensor):
        assert judge is not None
        judge = judge.dense(hidden)
    among = alike if passing is None else alike[are_in(alike, passing)]
    ties, _ = _best(judge, query, space, depth - min(len(rows), depth // OTHERS), among)
    best = own[torch.from_numpy(ties)].numpy() if isinstance(own, torch.Tensor) else own.at(ties)
    left = depth - len(ties)
    return np.concatenate([ties, rows[:left]]), np.concatenate([best, values[:left]])


def _alike(source: AnySource) -> NDArray[np.int64] | None:
    """Return the rows that are ``alike`` to a source; None where there are none."""
    rows: NDArray[np.int64] | None = getattr(source, "alike", None)
    return None if rows is None or not len(rows) else rows


def _distinct(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return ``np.unique(rows)``, which takes ten times as long for some hundred rows."""
    rising = np.sort(rows)
    kept = np.ones(len(rising), bool)
    np.not_equal(rising[1:], rising[:-1], out=kept[1:])
    return rising[kept]


def _common(
    source: AnySource,
    asks: Asks,
    space: ItemSpace,
    common: CommonScores,
    gone: NDArray[np.int64],
    depths: Sequence[int],
) -> list[Own | None]:
    """Return the scores of a source that says the same to all asks of one key."""
    found: list[Own | None] = []
    for number, query in enumerate(asks.queries):

        def make(number: int = number) -> Common:
            one, depth = asks.part(slice(number, number + 1)), max(depths[number], REFERENCE)
            said = source.scores(one, space)[0]  # type: ignore[union-attr]
            return Common(said, gone, depth, _alike(source))

        key = (source.name, source.key(query))  # type: ignore[union-attr]
        found.append(common.of(key, gone, make))
    return found


def _hidden(own: Own, hidden: NDArray[np.int64], *, dense: bool) -> Own:
    """Return scores without those of hidden rows, which :class:`Scored` ones leave out later."""
    if isinstance(own, torch.Tensor):
        own[torch.from_numpy(hidden)] = -torch.inf
        return own
    return own.dense(hidden) if dense else own


def _filled(
    union: NDArray[np.int64],
    scores: Sequence[torch.Tensor | None],
    queries: Sequence[NDArray[np.float32] | None],
    space: ItemSpace,
    allowed: NDArray[np.bool_],
    least: int,
) -> NDArray[np.int64]:
    """Return the candidates with the best further rows of each source in turn, ``least`` in all."""
    missing = allowed.copy()
    for own, query in zip(scores, queries, strict=True):
        missing[union] = False
        if own is None or len(union) >= least or not missing.any():
            continue
        rows, _ = _best(own, query, space, least - len(union), np.flatnonzero(missing))
        union = np.union1d(union, rows)
    return union


def _first(
    rows: NDArray[np.int64],
    scores: Sequence[torch.Tensor | None],
    queries: Sequence[NDArray[np.float32] | None],
    space: ItemSpace,
    allowed: NDArray[np.bool_] | None,
) -> NDArray[np.int64]:
    """Return the best of ``rows`` by the first source that knows any of them; or nothing."""
    rows = np.sort(rows if allowed is None else rows[allowed[rows]])
    for own, query in zip(scores, queries, strict=True):
        if own is not None and len(rows):
            best, _ = _best(own, query, space, 1, rows)
            if len(best):
                return best
    return rows[:0]


def _best(
    scores: torch.Tensor,
    query: NDArray[np.float32] | None,
    space: ItemSpace,
    depth: int,
    passing: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the rows of the best scores and the scores, of the rows ``passing`` alone if given."""
    if query is not None:
        return space.best(scores, query, depth, passing)
    own = scores if passing is None else scores[torch.from_numpy(passing)]
    found, values = leading(own.numpy(), depth + SLACK)
    rows = found if passing is None else passing[found]
    order = ranked(values, rows)[:depth]
    return rows[order], values[order]
