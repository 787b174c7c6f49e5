"""One order for scores that rounding alone tells apart."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from beauty_rec.search.protocol import SearchResult

DIGITS = 16
"""Bits of the largest score that count: steps of about 1e-5 of it."""
SLACK = 32
"""Further items to ask an index for, so that a tie at the end of a list is seen whole."""
NEAR = 1e-7
"""Scores of one list that lie no further apart share their mean rank."""


def ranked(scores: NDArray[np.float32], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the order of ``scores`` [n], falling; near ties in the order of ``places`` [n].

    A sum's last bits depend on its order, so a database, a matrix product over many requests and
    one over a single request do not agree on them. Scores are compared in steps of 2^-16 of the
    largest one's power of two.

    >>> ranked(np.array([2.0000002, 3.0, 2.0], np.float32), np.array([9, 5, 1])).tolist()
    [1, 2, 0]
    """
    if not len(scores):
        return np.zeros(0, np.int64)
    largest = float(np.abs(scores).max())
    if largest == 0:
        return np.argsort(places, kind="stable")
    step = 2.0 ** (math.floor(math.log2(largest)) - DIGITS)
    return np.lexsort((places, -np.rint(scores.astype(np.float64) / step)))


def ranks_in_lists(
    scores: NDArray[np.float32], starts: NDArray[np.int64], answers: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the rank of each list's answer, float64 ``[A]``; NaN where it has no score.

    >>> scores = np.array([0.5, 0.9, 0.5, np.nan, 0.1, 0.7], np.float32)
    >>> ranks_in_lists(scores, np.array([0, 4]), np.array([2, 5]))
    array([2.5, 1. ])

    Args:
        scores: of the candidates of all lists, one list after another; NaN: none.
        starts: first row of each of ``A`` lists.
        answers: row of the answer in each.
    """
    if not len(starts):
        return np.zeros(0)
    answer = scores[answers]
    own = np.repeat(answer, np.diff(starts, append=len(scores)))
    better, level = (
        _counts(scores > own + NEAR, starts),
        _counts(np.abs(scores - own) <= NEAR, starts),
    )
    return np.where(np.isnan(answer), np.nan, better + (level + 1) / 2)


def _counts(marks: NDArray[np.bool_], starts: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return how many candidates of each list are marked."""
    # Of bytes into 32 bits NumPy adds five times as fast as of truth values into 64.
    counts = np.add.reduceat(marks.view(np.uint8), starts, dtype=np.int32)
    return np.asarray(counts)


def steadied(found: SearchResult, places: Mapping[str, int], k: int) -> SearchResult:
    """Return the ``k`` best of each query, near ties in the order of ``places``.

    Args:
        found: by score, falling; ask for :data:`SLACK` more than ``k``. An index of a graph gives
            those of one score in any order, and another one of them where the list ends.
        places: of the items, by id.
        k: at least 0.
    """
    ids, scores = [], []
    for names, own in zip(found.ids, found.scores, strict=True):
        order = ranked(own, np.array([places[name] for name in names], np.int64))[:k]
        ids.append([names[place] for place in order])
        scores.append(own[order])
    return SearchResult(ids, np.stack(scores) if scores else found.scores[:, :k])
