"""Candidate lists of drawn scores."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from beauty_rec.recommender.candidates import Found
from beauty_rec.recommender.offline.lists import CandidateLists
from beauty_rec.recommender.sources import SIGNED, SOURCES


def drawn_lists(
    asks: int, each: int, seed: int, *, scenario: str = "with_text", empty: Sequence[int] = ()
) -> CandidateLists:
    """``each`` candidates of every ask, but of those that are ``empty``; some scores are NaN."""
    draw = np.random.default_rng(seed)
    found = []
    for ask in range(asks):
        size = 0 if ask in empty else each
        scores = draw.random((size, len(SOURCES)), dtype=np.float32) + np.float32(0.01)
        scores[:, np.array(SIGNED)] -= np.float32(0.5)
        scores[draw.random(scores.shape) < 0.1] = np.nan
        tops = np.full((len(SOURCES), 2), np.nan, np.float32)
        for column in range(len(SOURCES)):
            known = scores[~np.isnan(scores[:, column]), column]
            if len(known):
                tops[column] = known.max(), known.min()
        rows = np.sort(draw.choice(100, size, replace=False))
        found.append(Found(rows, scores, tops))
    names = [f"e{seed}-{ask}" for ask in range(asks)]
    return CandidateLists.of(names, scenario, found, [f"i{row}" for row in range(100)], SOURCES)


def hits_by(lists: CandidateLists, column: int, noise: float, seed: int) -> np.ndarray:
    """Each ask took what a column and some noise have first, but for every seventh ask: bool."""
    draw = np.random.default_rng(seed)
    wish = lists.values[:, column] + noise * draw.random(len(lists.ask))
    hits = np.zeros(len(lists.ask), bool)
    for ask in range(len(lists)):
        rows = np.flatnonzero(lists.ask == ask)
        if len(rows) and ask % 7:
            hits[rows[wish[rows].argmax()]] = True
    return hits


def same(one: CandidateLists, other: CandidateLists) -> bool:
    """Whether two lists are the same, NaN for NaN."""
    frames = [
        lists.frame().with_columns(pl.selectors.numeric().fill_nan(-99)) for lists in (one, other)
    ]
    return (
        frames[0].equals(frames[1])
        and one.ask.tolist() == other.ask.tolist()
        and np.array_equal(one.scores, other.scores, equal_nan=True)
        and np.array_equal(one.tops, other.tops, equal_nan=True)
    )
