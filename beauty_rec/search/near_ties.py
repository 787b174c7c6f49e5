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
