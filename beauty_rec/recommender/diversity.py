"""A list whose items are unlike one another: maximal marginal relevance."""

import numpy as np
from numpy.typing import NDArray

FEW = 10
"""Up to one chosen of so many, only what the chosen ones are like is computed: for ten of 700 in a
tenth of the time of all pairs. For more of them one product of all is quicker than many small ones.
"""


def diversify(
    relevance: NDArray[np.float32], vectors: NDArray[np.float32], k: int, diversity: float
) -> NDArray[np.int64]:
    """Return the places of ``k`` items, each chosen for relevance and for being unlike the others.

    Each next item has the largest ``(1 - d) r - d max cos`` with the chosen ones, d being
    ``diversity`` and r the relevance scaled to 0..1. Carbonell and Goldstein 1998,
    https://doi.org/10.1145/290941.291025. With d = 0 the order is that of the relevance.

    Args:
        relevance: float32 ``[N]``, best first.
        vectors: unit, float32 ``[N, D]``; zeros are unlike everything.
        k: at most N are returned.
        diversity: 0..1.
    """
    k = min(k, len(relevance))
    if diversity == 0 or k == 0:
        return np.arange(k)
    spread = float(relevance.max() - relevance.min())
    scaled = (relevance - relevance.min()) / spread if spread else np.zeros_like(relevance)
    every = vectors @ vectors.T if k * FEW > len(vectors) else None  # [N, N]
    closest = np.zeros(len(relevance), np.float32)
    chosen: list[int] = []
    for _ in range(k):
        gain = (1 - diversity) * scaled - diversity * closest
        gain[chosen] = -np.inf
        best = int(gain.argmax())
        chosen.append(best)
        likeness = vectors @ vectors[best] if every is None else every[best]  # [N]
        closest = np.maximum(closest, likeness) if len(chosen) > 1 else likeness
    return np.array(chosen, dtype=np.int64)
