"""The best of many scores, without sorting them all."""

import numpy as np
from numpy.typing import NDArray

BLOCK = 64


def top_k(scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return columns and values of the ``k`` highest scores per row, both ``[Q, min(k, N)]``.

    Best first; equal scores by lower column; ``-inf`` and NaN give column -1 and ``-inf``.

    Args:
        scores: float32 ``[Q, N]``.
        k: at least 0.

    >>> top_k(np.array([[1, 3, 3, -np.inf]], np.float32), 4)[0].tolist()
    [[1, 2, 0, -1]]
    """
    width = min(k, scores.shape[1])
    if width == 0:
        empty = (len(scores), 0)
        return np.empty(empty, dtype=np.int64), np.empty(empty, dtype=np.float32)
    if np.isnan(scores).any():
        scores = np.where(np.isnan(scores), np.float32(-np.inf), scores)
    columns = np.argpartition(scores, scores.shape[1] - width, axis=1)[:, -width:]
    values = np.take_along_axis(scores, columns, axis=1)
    # The partition picks freely among equals at the edge, of which the first ones are taken.
    edge = values.min(axis=1, keepdims=True)
    torn = np.count_nonzero(scores >= edge, axis=1) > width
    for row in np.flatnonzero(torn):
        above = np.flatnonzero(scores[row] > edge[row])
        level = np.flatnonzero(scores[row] == edge[row])
        columns[row] = np.concatenate([above, level[: width - len(above)]])
    values = np.take_along_axis(scores, columns, axis=1)
    order = np.lexsort((columns, -values), axis=1)
    columns = np.take_along_axis(columns, order, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    return np.where(values == -np.inf, -1, columns).astype(np.int64), values


def leading(scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the rows and the values of the ``k`` best scores above ``-inf``.

    Best first; equal scores by lower row: thousands of items that nobody has bought score alike.
    For one request's scores of all items, where :func:`top_k` would take too long.

    Of k blocks that hold the k largest maxima, each has a score as high as the lowest of these
    maxima: no score below it is among the k best. So only what reaches it is sorted.

    Args:
        scores: float32 ``[n]``, none of them NaN.
        k: all are returned where there are no more.
    """
    blocks = len(scores) // BLOCK
    if not 0 < k <= blocks:
        return _first(scores, k)
    inside = blocks * BLOCK
    table = scores[:inside].reshape(BLOCK, blocks)  # a column is a block: read along the rows
    maxima = table.max(axis=0)
    edge = np.partition(maxima, blocks - k)[blocks - k]
    if edge == -np.inf:
        held = np.flatnonzero(scores > edge)
    else:
        some = np.flatnonzero(maxima >= edge)
        place, block = np.nonzero(table[:, some] >= edge)
        rest = inside + np.flatnonzero(scores[inside:] >= edge)
        held = np.concatenate([place * blocks + some[block], rest])
    found, values = _first(scores[held], k)
    return held[found], values


def _first(scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return what :func:`leading` does, of few scores."""
    edge = -np.inf
    if 0 < k < len(scores):
        edge = np.partition(scores, len(scores) - k)[len(scores) - k]
    held = np.flatnonzero(scores >= edge if edge > -np.inf else scores > edge)
    order = held[np.argsort(-scores[held], kind="stable")[:k]]
    return order, scores[order]
