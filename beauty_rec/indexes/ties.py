"""One order for scores that rounding alone tells apart."""

import math

import numpy as np
from numpy.typing import NDArray

DIGITS = 16
"""Bits of the largest score that count: steps of about 1e-5 of it."""
SLACK = 32
"""Further items to ask an index for, so that a tie at the end of a list is seen whole."""

TIE = 1e-5
"""Cosines no further apart than this share a rank."""


def cosine_ranks(falling: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the rank of each cosine [n], from 1: one more than the cosines above it by a ``TIE``.

    Items of nearly the same text score alike but for rounding, and must not swap by it.

    Args:
        falling: the best cosines of all items, in falling order.
        scores: float32 [n].

    >>> best = np.array([0.9, 0.5, 0.4999999], np.float32)
    >>> cosine_ranks(best, np.array([0.4999999, 0.2], np.float32)).tolist()
    [2, 4]
    """
    return 1 + np.searchsorted(-falling.astype(np.float64), -(scores.astype(np.float64) + TIE))


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
