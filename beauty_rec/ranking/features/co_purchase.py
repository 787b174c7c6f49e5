"""Which items the same users take: item-to-item similarity from events."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, vstack

Codes = NDArray[np.int64]

PAIRS_AT_ONCE = 1 << 22
"""Pairs of events of one user that are added up together: the whole product of a shop of a
million items takes tens of gigabytes."""


@dataclass(frozen=True)
class Company:
    """Users and what they took; how alike two items are is computed for the rows asked for.

    Attributes:
        taken: float32 ``[users, items]``: 1 / the length of the item's column, where taken.
        takers: its transpose, by row.
    """

    taken: csr_array
    takers: csr_array

    @classmethod
    def of(cls, user: Codes, item: Codes, items: int, shrinkage: float = 0.0) -> "Company":
        """Return who took what; the arguments are those of :func:`co_purchase`."""
        known = item >= 0
        pairs = np.unique(np.stack([user[known], item[known]], axis=1), axis=0)
        shape = (int(pairs[:, 0].max(initial=-1)) + 1, items)
        ones = np.ones(len(pairs), dtype=np.float32)
        taken = csr_array((ones, (pairs[:, 0], pairs[:, 1])), shape=shape)
        users = np.asarray(taken.sum(axis=0)).ravel() + shrinkage
        scaled = taken @ diags_array(1 / np.sqrt(np.maximum(users, 1)), dtype=np.float32)
        return cls(scaled.tocsr(), scaled.T.tocsr())

    def similar(self, rows: Codes) -> csr_array:
        """Return the similarity of the items ``rows`` to all, float32 ``[len(rows), items]``.

        An item's to itself is 0.
        """
        found = (self.takers[rows] @ self.taken).tocsr().astype(np.float32)
        found.sort_indices()
        own = np.repeat(rows, np.diff(found.indptr)) == found.indices
        found.data[own] = 0
        found.eliminate_zeros()
        return found

    def blocks(self) -> Iterator[Codes]:
        """Yield all items in turn, so many that their similarities take bounded memory."""
        pairs = self.takers.astype(bool) @ np.diff(self.taken.indptr)  # of each item
        part = np.cumsum(pairs) // PAIRS_AT_ONCE
        yield from np.split(np.arange(len(pairs)), np.flatnonzero(np.diff(part)) + 1)


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
    company = Company.of(user, item, items, shrinkage)
    parts = (
        [company.similar(rows) for rows in company.blocks()]
        if neighbours is None
        else [_strongest(company.similar(rows), neighbours) for rows in company.blocks()]
    )
    found: csr_array = vstack(parts, format="csr")
    return found


def _strongest(matrix: csr_array, count: int) -> csr_array:
    """Return the matrix with the ``count`` largest entries of each row; ties go to the first."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, row))
    place = np.arange(len(row)) - matrix.indptr[row]
    kept = order[place < count]
    return csr_array((matrix.data[kept], (row[kept], matrix.indices[kept])), shape=matrix.shape)
