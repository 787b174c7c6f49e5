"""All items at half the bytes: which of them may be among the best of an ask."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from beauty_rec.search.top import leading

AT_ONCE = 16_384
"""Rows that are rounded at once."""
ULP = 2.0**-8
"""What rounding to bfloat16 takes off a number at most, as a share of it."""
FLOAT32 = 2.0**-24
"""The same of a sum of two numbers in float32."""


@dataclass(frozen=True)
class CoarseMatrix:
    """A bfloat16 copy of a float32 matrix, and how far off its products may be.

    A product with few queries takes as long as reading the matrix does, and one with many is
    faster where a CPU has instructions for bfloat16. :meth:`contenders` bounds the error, by
    Cauchy and Schwarz over blocks of columns, so nothing is lost to it.

    Attributes:
        rows: bfloat16 ``[capacity, W]``.
        starts: the first column of each block; blocks differ in the lengths of their rows.
        longest: float64 ``[B]``, the length of the longest row within each block.
        lost: float64 ``[B]``, the length of the longest difference from the rows in float32.
    """

    rows: torch.Tensor
    starts: Sequence[int]
    longest: NDArray[np.float64]
    lost: NDArray[np.float64]

    @classmethod
    def of(cls, matrix: torch.Tensor, starts: Sequence[int]) -> "CoarseMatrix":
        """Return the copy of a float32 matrix ``[capacity, W]`` on a CPU."""
        none = np.zeros(len(starts))
        empty = torch.empty(matrix.shape, dtype=torch.bfloat16)
        return cls(empty, starts, none, none).with_rows(0, matrix)

    def with_rows(self, start: int, vectors: torch.Tensor) -> "CoarseMatrix":
        """Return the copy with float32 ``vectors`` ``[M, W]`` written from row ``start`` on.

        The numbers are shared with this one, whose bounds do not hold for these rows.
        """
        longest, lost = self.longest, self.lost
        for first in range(0, len(vectors), AT_ONCE):
            exact = vectors[first : first + AT_ONCE]
            rounded = exact.bfloat16()
            self.rows[start + first : start + first + len(exact)] = rounded
            back = rounded.float()
            longest = np.maximum(longest, self._lengths(back.numpy()).max(axis=0))
            lost = np.maximum(lost, self._lengths((exact - back).numpy()).max(axis=0))
        return replace(self, longest=longest, lost=lost)

    def with_room(self, rows: int) -> "CoarseMatrix":
        """Return a copy with that many further rows, zeros."""
        more = torch.zeros((rows, self.rows.shape[1]), dtype=torch.bfloat16)
        return replace(self, rows=torch.cat([self.rows, more]))

    def scores(self, queries: torch.Tensor, rows: int) -> torch.Tensor:
        """Return float32 ``[Q, rows]``, about the inner products with float32 ``[Q, W]``."""
        return (queries.bfloat16() @ self.rows[:rows].T).float()

    def contenders(
        self, scores: torch.Tensor, query: NDArray[np.float32], k: int
    ) -> NDArray[np.int64]:
        """Return the places whose exact scores may be among the ``k`` best above ``-inf``, rising.

        Args:
            scores: float32 ``[n]``, some of :meth:`scores`; ``-inf`` for what is hidden.
            query: float32 ``[W]``, that they answer.
            k: at least 1.
        """
        places, best = leading(scores, k)
        if len(places) < k:
            return np.sort(places)
        edge, twice = float(best[-1]), 2 * self._error(query)
        # The products themselves are rounded once more: the best to below, the next to above.
        lowest = edge - twice - 2.02 * ULP * (abs(edge) + twice)
        return np.flatnonzero(scores.numpy() >= np.float32(lowest))

    def _error(self, query: NDArray[np.float32]) -> float:
        """Return what a sum may be off before it is rounded."""
        rounded = torch.from_numpy(query).bfloat16().float().numpy()
        whole, missing = self._lengths(np.stack([query, query - rounded]))
        summed = len(query) * FLOAT32
        return float(whole @ (self.lost + summed * self.longest) + missing @ self.longest)

    def _lengths(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return float64 ``[M, B]``, the length of each vector within each block."""
        squares = np.square(vectors, dtype=np.float64)
        return np.sqrt(np.add.reduceat(squares, self.starts, axis=1))
