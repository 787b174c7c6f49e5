"""Which examples a training sees, and in what order."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def answered_rows(labels: NDArray[np.float32], query_row: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows, ascending, of the queries whose answer is a candidate."""
    answered = np.zeros(int(query_row.max(initial=-1)) + 1, dtype=bool)
    answered[query_row[labels > 0.5]] = True
    return np.flatnonzero(answered[query_row])


def judging_rows(labels: NDArray[np.float32], query_row: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows that stop a training: :func:`answered_rows`, or all where there are none."""
    answered = answered_rows(labels, query_row)
    return answered if len(answered) else np.arange(len(labels))


def training_rows(
    labels: NDArray[np.float32],
    query_row: NDArray[np.int64],
    negatives: int | None,
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Return the rows to learn from: queries whose answer is a candidate, with their negatives.

    All candidates of such a query, or its positive and ``negatives`` others drawn without
    replacement. Rows ascend.
    """
    rows = answered_rows(labels, query_row)
    if negatives is None:
        return rows
    # A random order within each query, positives first: keep the first rows of each.
    chance = np.where(labels[rows] > 0.5, -1.0, generator.random(len(rows)))
    order = rows[np.lexsort((chance, query_row[rows]))]
    query = query_row[order]
    place = np.arange(len(order)) - np.searchsorted(query, query)
    return np.sort(order[place <= negatives])


def shuffled_batches(
    rows: NDArray[np.int64],
    query_row: NDArray[np.int64],
    size: int,
    generator: np.random.Generator,
) -> Iterator[NDArray[np.int64]]:
    """Yield ``rows`` in batches of whole queries, in random order: at least ``size`` rows each.

    The last batch takes what is left. Queries stay whole because a batch computes each query once.
    """
    if not len(rows):
        return
    query = query_row[rows]
    starts = np.flatnonzero(np.diff(query, prepend=query[0] - 1))
    ends = np.append(starts[1:], len(rows))
    order = generator.permutation(len(starts))
    total = np.cumsum(ends[order] - starts[order])
    cut = 0
    while cut < len(order):
        done = total[cut - 1] if cut else 0
        last = min(int(np.searchsorted(total, done + size)) + 1, len(order))
        chosen = order[cut:last]
        yield np.concatenate([rows[starts[q] : ends[q]] for q in chosen])
        cut = last
