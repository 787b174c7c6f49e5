"""Figures that tell a good space of vectors from a collapsed one."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # the checks of artifacts read this file, and must load fast
    from torch import Tensor


def alignment(one: "Tensor", two: "Tensor") -> "Tensor":
    """Return the mean squared distance of the two views, unit vectors ``[B, D]``; 0 is best.

    Source: Wang and Isola (2020), alpha = 2.
    """
    return (one - two).pow(2).sum(dim=1).mean()


def uniformity(vectors: "Tensor") -> "Tensor":
    """Return ``log mean exp(-2 |x - y|²)`` over the pairs of unit vectors ``[N, D]``.

    0 when all are one point; the lower, the more evenly they fill the sphere.

    Source: Wang and Isola (2020), t = 2.
    """
    import torch

    return torch.pdist(vectors).pow(2).mul(-2).exp().mean().log()


def neighbour_purity(vectors: "Tensor", classes: "Tensor", k: int = 10) -> tuple[float, float]:
    """Return the share of the ``k`` nearest of one's own class, and the same by chance.

    Args:
        vectors: unit vectors ``[N, D]``.
        classes: int ``[N]``; -1 is "unknown" and left out.
        k: neighbours, fewer when there are fewer items.
    """
    vectors, classes = vectors[classes >= 0], classes[classes >= 0]
    n = len(vectors)
    if n < 2:
        return float("nan"), float("nan")
    near = (vectors @ vectors.T).fill_diagonal_(-float("inf")).topk(min(k, n - 1)).indices
    purity = (classes[near] == classes[:, None]).float().mean()
    size = classes.bincount().float()
    chance = (size * (size - 1)).sum() / (n * (n - 1))
    return float(purity), float(chance)


def mean_cosine(vectors: NDArray[np.floating]) -> float:
    """Return the mean cosine of two different rows of unit vectors ``[N, D]``; 1 is a collapse.

    From the sum of all rows, since ``|Σv|² = Σ|v|² + Σ_{i≠j} v_i·v_j``. 0 for less than two rows:
    nothing has collapsed.
    """
    n = len(vectors)
    if n < 2:
        return 0.0
    total = vectors.sum(axis=0, dtype=np.float64)
    squares = np.einsum("nd,nd->", vectors, vectors, dtype=np.float64)
    return float((total @ total - squares) / (n * (n - 1)))
