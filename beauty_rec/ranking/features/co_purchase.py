"""Which items the same users take: item-to-item similarity from events."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

Codes = NDArray[np.int64]


def co_purchase(
    user: Codes, item: Codes, items: int, *, shrinkage: float = 0.0, neighbours: int | None = None
) -> csr_array:
    """Return the cosine of two items' sets of users, sparse float32 ``[items, items]``, diagonal 0.

    ``|users(i) & users(j)| / sqrt((|users(i)| + m) (|users(j)| + m))``, m the ``shrinkage``: a
    pair that one user makes must not weigh like one that a hundred make. Sarwar et al., Item-based
    collaborative filtering recommendation algorithms, WWW 2001, on implicit events.

    Args:
        user: int64 ``[n]``, the user of each event, from 0.
        item: int64 ``[n]``, its item; -1 is left out.
        items: how many there are.
        shrinkage: users of an average item that every item is thought to have besides.
        neighbours: the most similar ones kept of each item (a row); none: all.
    """
    known = item >= 0
    pairs = np.unique(np.stack([user[known], item[known]], axis=1), axis=0)
    shape = (int(pairs[:, 0].max(initial=-1)) + 1, items)
    ones = np.ones(len(pairs), dtype=np.float32)
    taken = csr_array((ones, (pairs[:, 0], pairs[:, 1])), shape=shape)
    users = np.asarray(taken.sum(axis=0)).ravel() + shrinkage
    scaled = taken @ diags_array(1 / np.sqrt(np.maximum(users, 1)), dtype=np.float32)
    similarity = (scaled.T @ scaled).tocsr().astype(np.float32)
    similarity.setdiag(0)
    similarity.eliminate_zeros()
    return similarity if neighbours is None else _strongest(similarity, neighbours)


def _strongest(matrix: csr_array, count: int) -> csr_array:
    """Return the matrix with the ``count`` largest entries of each row; ties go to the first."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, row))
    place = np.arange(len(row)) - matrix.indptr[row]
    kept = order[place < count]
    return csr_array((matrix.data[kept], (row[kept], matrix.indices[kept])), shape=matrix.shape)
