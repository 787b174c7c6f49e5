"""Hard negatives: item texts that the untuned encoder takes for the answer.

Each item stands for itself by one text, the positive of its first pair: the cost is one search a
pair among the items, and neither the texts nor the scores of all pairs.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.search.top import top_k

EXACT_ITEMS = 20_000
"""Items that every query is held against; of more, those of the nearest cells."""
PROBES = 16
_QUERIES, _ITEMS = 512, 32_768

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


def mine_hard_negatives(
    encoder: TextEncoder,
    queries: Sequence[str],
    positives: Sequence[str],
    item_ids: Sequence[str],
    count: int,
    margin: float,
) -> list[list[int]]:
    """Return, for each pair, the rows of the ``count`` hardest item texts of other items.

    A candidate whose score is above the positive's score less ``margin`` may be a right answer
    that nobody wrote down, so it is passed over. When too few are left, the farther ones follow.

    Args:
        encoder: scores queries against item texts by cosine.
        queries, positives, item_ids: the pairs' columns, ``N`` each.
        count: negatives of a pair; fewer when there are not that many other items.
        margin: in cosine.

    Returns:
        ``N`` lists of row numbers into ``positives``, one row an item, the hardest first.
    """
    _, first, item = np.unique(np.asarray(item_ids), return_index=True, return_inverse=True)
    vectors = encoder.encode_items([positives[row] for row in first])
    asked = encoder.encode_queries(queries)
    ceiling = np.einsum("nd,nd->n", asked, vectors[item]) - np.float32(margin)
    exact = len(vectors) <= EXACT_ITEMS
    found = (hardest if exact else hardest_of_cells)(asked, vectors, item, ceiling, count)
    chosen = [[int(own) for own in row if own >= 0] for row in found]
    spread = np.linspace(0, len(vectors) - 1, min(len(vectors), EXACT_ITEMS)).astype(np.int64)
    for row in np.flatnonzero((found < 0).any(axis=1)):
        chosen[row] += _farthest(asked[row], vectors, spread, {item[row], *chosen[row]}, count)
    return [[int(first[own]) for own in row[:count]] for row in chosen]


def hardest(queries: Floats, items: Floats, own: Rows, ceiling: Floats, count: int) -> Rows:
    """Return the ``count`` best items of each query below its ceiling, int64 ``[N, count]``.

    Best first; -1 where there are no more.

    Args:
        queries, items: unit vectors ``[N, D]`` and ``[I, D]``.
        own: int64 ``[N]``, the item that a query is not to find.
        ceiling: float32 ``[N]``, of the scores.
        count: of each query.
    """
    found = np.full((len(queries), count), -1, np.int64)
    for first in range(0, len(queries), _QUERIES):
        some = slice(first, first + _QUERIES)
        best = found[some], np.full(found[some].shape, -np.inf, np.float32)
        for start in range(0, len(items), _ITEMS):
            rows = np.arange(start, min(start + _ITEMS, len(items)))
            best = _better(best, queries[some], items[rows], rows, own[some], ceiling[some])
        found[some] = best[0]
    return found


def hardest_of_cells(
    queries: Floats, items: Floats, own: Rows, ceiling: Floats, count: int
) -> Rows:
    """Return what :func:`hardest` does, of the items in the cells nearest to each query.

    A cell holds the items that lie nearest to one of about ``sqrt(I)`` of them. So a query is held
    against ``PROBES`` cells and their centres (an inverted file; Sivic and Zisserman, ICCV 2003).
    """
    centres = items[np.linspace(0, len(items) - 1, round(len(items) ** 0.5)).astype(np.int64)]
    cell = _nearest(items, centres, 1)[:, 0]
    members = np.split(np.argsort(cell, kind="stable"), np.cumsum(np.bincount(cell))[:-1])
    probed = _nearest(queries, centres, PROBES)
    by_cell = np.argsort(probed, axis=None, kind="stable")
    askers = np.split(by_cell // probed.shape[1], np.cumsum(np.bincount(probed.ravel()))[:-1])
    found = np.full((len(queries), count), -1, np.int64)
    scores = np.full(found.shape, -np.inf, np.float32)
    for rows, asking in zip(members, askers, strict=False):
        for first in range(0, len(asking), _QUERIES):
            some = asking[first : first + _QUERIES]
            found[some], scores[some] = _better(
                (found[some], scores[some]), queries[some], items[rows], rows, own[some],
                ceiling[some],
            )  # fmt: skip
    return found


def _better(
    best: tuple[Rows, Floats],
    queries: Floats,
    items: Floats,
    rows: Rows,
    own: Rows,
    ceiling: Floats,
) -> tuple[Rows, Floats]:
    """Return ``best``, rows and scores ``[B, count]``, with what is better among ``items``."""
    count = best[0].shape[1]
    scores = queries @ items.T
    scores[(scores > ceiling[:, None]) | (rows == own[:, None])] = -np.inf
    place, values = top_k(scores, count)
    both = np.concatenate([best[0], np.where(place < 0, -1, rows[place])], axis=1)
    place, values = top_k(np.concatenate([best[1], values], axis=1), count)
    return np.where(place < 0, -1, np.take_along_axis(both, place, axis=1)), values


def _nearest(vectors: Floats, centres: Floats, k: int) -> Rows:
    """Return the ``k`` nearest centres of each vector, int64 ``[N, k]``."""
    parts = [
        top_k(vectors[start : start + _QUERIES] @ centres.T, k)[0]
        for start in range(0, len(vectors), _QUERIES)
    ]
    return np.concatenate(parts)


def _farthest(
    query: Floats, items: Floats, among: Rows, without: set[int], count: int
) -> list[int]:
    """Return the farthest items: where all others are too near, they are the safest negatives."""
    scores = items[among] @ query
    wanted = min(len(among), count + len(without))
    last = np.argpartition(scores, wanted - 1)[:wanted]
    ordered = among[last[np.lexsort((last, scores[last]))]]
    return [int(row) for row in ordered if row not in without]
