"""Latent semantic analysis of attributes: items near each other say the same rare things.

SimCSE teaches the item tower to tell items apart. What two different items share, a concern or a
hair type, fades in its vectors; yet that is what a history has to say. So a part of every item
vector is linear in its open (RE) attributes.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import svds

from beauty_rec.towers.items.features import PAD

Floats = NDArray[np.float32]


def attribute_space(re: NDArray[np.int64], vocabulary: int, width: int) -> Floats:
    """Return the place of every value, float32 ``[vocabulary, A]``; A is at most ``width``.

    The items' values, each weighted by its inverse document frequency and each item brought to
    length 1, are projected on their first right singular vectors (Deerwester et al., Indexing by
    latent semantic analysis, JASIS 1990). With no more values in use than ``width`` nothing is
    lost, and each has a column of its own. A value that no item has lies at 0.

    Args:
        re: int64 ``[N, R]``, ids below ``vocabulary``; ``PAD`` fills.
        vocabulary: number of ids.
        width: the most columns.
    """
    items, place = (re != PAD).nonzero()
    pairs = np.unique(np.stack([items, re[items, place]], axis=1), axis=0)
    used, value = np.unique(pairs[:, 1], return_inverse=True)
    rarity = np.log((len(re) + 1) / (np.bincount(value, minlength=len(used)) + 1))
    # What nearly all items have tells nothing, but its item must not be left without a vector.
    rarity = np.maximum(rarity, 1e-3)
    if len(used) <= width:
        columns = np.eye(len(used))
    else:
        weights = csr_array((rarity[value], (pairs[:, 0], value)), shape=(len(re), len(used)))
        length = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
        columns = _first_right(diags_array(1 / np.maximum(length, 1e-12)) @ weights, width)
    space = np.zeros((vocabulary, columns.shape[1]), np.float32)
    space[used] = rarity[:, None] * columns
    return space


def _first_right(matrix: csr_array, count: int) -> NDArray[np.float64]:
    """Return the first right singular vectors of ``[N, V]`` as columns, ``[V, <= count]``."""
    if count == 0:
        return np.zeros((matrix.shape[1], 0))
    if count >= min(matrix.shape):
        return np.linalg.svd(matrix.toarray(), full_matrices=False)[2][:count].T
    # A fixed start: equal items, equal space.
    start = np.random.default_rng(0).standard_normal(min(matrix.shape))
    found: NDArray[np.float64] = svds(matrix, k=count, v0=start)[2][::-1].T
    return found


def attribute_vectors(re: NDArray[np.int64], space: Floats) -> Floats:
    """Return the unit vectors float32 ``[N, A]`` of items; zeros for one without a value in it."""
    total = np.zeros((len(re), space.shape[1]), np.float32)
    ordered = np.sort(re, axis=1)
    again = np.zeros_like(ordered, dtype=bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]  # a value counts once
    for column in np.where(again, PAD, ordered).T:
        total += space[column]
    length = np.linalg.norm(total, axis=1, keepdims=True)
    # Values that lie across all columns leave rounding errors, which are no direction.
    return np.where(length > 1e-5, total / np.maximum(length, 1e-5), 0).astype(np.float32)


def side_by_side(learned: Floats, attributes: Floats, share: float) -> Floats:
    """Return unit vectors ``[N, D + A]`` whose inner product has ``share`` from ``attributes``.

    Args:
        learned: unit vectors ``[N, D]``.
        attributes: unit vectors ``[N, A]``; of an item of zeros ``learned`` alone counts.
        share: from 0 to 1.
    """
    of_learned = np.where(attributes.any(axis=1, keepdims=True), (1 - share) ** 0.5, 1.0)
    joined = np.concatenate([learned * of_learned, attributes * share**0.5], axis=1)
    length = np.linalg.norm(joined, axis=1, keepdims=True)
    found: Floats = (joined / np.maximum(length, 1e-12)).astype(np.float32)
    return found
