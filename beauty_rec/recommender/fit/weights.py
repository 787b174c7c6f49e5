"""Weights of the sources, chosen by NDCG@100: by the whole list that is found.

The ranks of the answers are a step function of the weights: so they are searched one by one over a
grid, from several starts, until none helps. A weight moves only for a better score, and then to the
smallest value that has it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beauty_rec.measures.metrics import ndcg_at
from beauty_rec.search.near_ties import ranks_in_lists

GRID = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
ROUNDS = 4
GAIN = 1e-9
DEPTH = 100
"""Of the list that weights are chosen by. NDCG@10 tells neighbouring weights apart by chance, and
of several that it finds alike took one that finds a tenth less among the first hundred."""


@dataclass(frozen=True)
class Judged:
    """Candidates of Q asks, those of an ask in consecutive rows.

    Attributes:
        values: float32 ``[N, S]``, normalised scores.
        starts: int64 ``[A]``, first row of each ask whose answer is among its candidates.
        answers: int64 ``[A]``, row of the answer of each of them.
        answered: int64 ``[A]``, which asks these are.
        asks: Q, those without their answer among the candidates included.
    """

    values: NDArray[np.float32]
    starts: NDArray[np.int64]
    answers: NDArray[np.int64]
    answered: NDArray[np.int64]
    asks: int

    @classmethod
    def of(
        cls, values: NDArray[np.float32], ask: NDArray[np.int64], hit: NDArray[np.bool_], asks: int
    ) -> "Judged":
        """Return what can be judged: the asks that have a ``hit`` [N] among their rows."""
        answered = np.zeros(asks, bool)
        answered[ask[hit]] = True
        kept = answered[ask]
        own, hits = ask[kept], hit[kept]
        starts = np.flatnonzero(np.diff(own, prepend=-1))
        return cls(values[kept], starts, np.flatnonzero(hits), np.flatnonzero(answered), asks)

    def part(self, asks: NDArray[np.bool_]) -> "Judged":
        """Return some of the asks, bool ``[Q]``, as all that there are."""
        ask = np.repeat(self.answered, np.diff(self.starts, append=len(self.values)))
        hit = np.zeros(len(ask), bool)
        hit[self.answers] = True
        kept, number = asks[ask], np.cumsum(asks) - 1
        return Judged.of(self.values[kept], number[ask[kept]], hit[kept], int(asks.sum()))

    def ranks(self, weights: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the rank of each answered ask's answer, ties in the middle: float64 ``[A]``."""
        return ranks_in_lists(self.values @ weights, self.starts, self.answers)

    def gains(self, weights: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return NDCG@10 of each ask, float64 ``[Q]``; 0 for one without its answer."""
        found = np.zeros(self.asks)
        found[self.answered] = ndcg_at(self.ranks(weights))
        return found

    def ndcg(self, weights: NDArray[np.float32]) -> float:
        """Return NDCG@100 over all asks."""
        return float(ndcg_at(self.ranks(weights), DEPTH).sum() / max(1, self.asks))


def choose_weights(
    judged: Judged,
    names: Sequence[str],
    free: Sequence[str],
    start: Mapping[str, float],
    *,
    alone: bool = True,
    least: Mapping[str, float] | None = None,
) -> tuple[dict[str, float], float]:
    """Return the best weights that were found, and their NDCG@100.

    Args:
        judged: candidates of out-of-fold train; of valid for texts, see ``orders.py``.
        names: of the columns.
        free: the columns that may have a weight; the others stay as ``start`` has them, or 0.
        start: weights to begin with.
        alone: begin with each free column alone, too.
        least: columns whose weight stays at or above a value; the others' may fall to 0.
    """
    columns = {name: number for number, name in enumerate(names)}
    tried: dict[bytes, float] = {}

    def ndcg(weights: NDArray[np.float32]) -> float:
        """Return the score of weights; the search comes by the same ones again and again."""
        key = weights.tobytes()
        if key not in tried:
            tried[key] = judged.ndcg(weights) if weights.any() else 0.0
        return tried[key]

    starts: list[Mapping[str, float]] = [start, *({name: 1.0} for name in free if alone)]
    best, reached = dict(start), -1.0
    for begun in starts:
        weights = np.zeros(len(names), np.float32)
        for name, value in begun.items():
            weights[columns[name]] = value
        score = ndcg(weights)
        for _ in range(ROUNDS):
            before = score
            for name in free:
                score = _one(ndcg, weights, columns[name], score, (least or {}).get(name, 0.0))
            if score <= before + GAIN:
                break
        if score > reached + GAIN:
            best = {n: round(float(weights[c]), 6) for n, c in columns.items() if weights[c]}
            reached = score
    return best, reached


def _one(
    ndcg: Callable[[NDArray[np.float32]], float],
    weights: NDArray[np.float32],
    column: int,
    score: float,
    least: float,
) -> float:
    """Set one weight to the best of the grid from ``least`` on in place; return the score."""
    kept = float(weights[column])
    for value in (value for value in GRID if value >= least):
        weights[column] = value
        found = ndcg(weights)
        if found > score + GAIN:
            kept, score = value, found
    weights[column] = kept
    return score
