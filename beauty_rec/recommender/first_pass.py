"""The first pass over all items: quick products, and which items may be among the best by them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from beauty_rec.retriever.encoding.precision import reduced_precision
from beauty_rec.retriever.packed_linear import PackedMatrix
from beauty_rec.search.top import leading

AT_ONCE = 16_384
"""Rows whose rounding is measured at once."""
FLOAT32 = torch.finfo(torch.float32).eps / 2
"""What rounding a sum to float32 takes off at most, as a share of it."""


@dataclass(frozen=True)
class FirstPass:
    """A copy of a float32 matrix that is quick to multiply, and how far off its products may be.

    In bfloat16 where the CPU has instructions for it: a product with few queries takes as long as
    reading the matrix does, so half the bytes take half the time. :meth:`contenders` bounds the
    error, by Cauchy and Schwarz over blocks of columns, so nothing is lost to it.

    Attributes:
        packed: the first rows, in the order that the CPU multiplies them in.
        later: ``[M, W]``, the rows after them, some of them spare; its dtype is that of both.
        starts: the first column of each block; blocks differ in the lengths of their rows.
        longest: float64 ``[B]``, the length of the longest row within each block.
        lost: float64 ``[B]``, the length of the longest difference from the rows in float32.
    """

    packed: PackedMatrix
    later: torch.Tensor
    starts: Sequence[int]
    longest: NDArray[np.float64]
    lost: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        matrix: torch.Tensor,
        starts: Sequence[int],
        spare: int = 0,
        dtype: torch.dtype | None = None,
    ) -> "FirstPass":
        """Return the copy of a matrix.

        Args:
            matrix: float32 ``[N, W]``, on a CPU.
            starts: the first column of each block, the first of all 0.
            spare: rows kept free for those that come later.
            dtype: float32 or bfloat16; None: what this CPU multiplies faster.
        """
        dtype = dtype or reduced_precision("auto", torch.device("cpu")) or torch.float32
        rounded = matrix.to(dtype)
        later = torch.zeros((spare, matrix.shape[1]), dtype=dtype)
        none = np.zeros(len(starts))
        return cls(PackedMatrix(rounded), later, starts, none, none)._bounding(matrix, rounded)

    def with_rows(self, start: int, vectors: torch.Tensor) -> "FirstPass":
        """Return the copy with float32 ``vectors`` ``[M, W]`` from row ``start`` on, a later one.

        The numbers are shared with this one, whose bounds do not hold for these rows.
        """
        rounded = vectors.to(self.later.dtype)
        first = start - len(self.packed)
        self.later[first : first + len(vectors)] = rounded
        return self._bounding(vectors, rounded)

    def with_room(self, rows: int) -> "FirstPass":
        """Return a copy with that many further rows, zeros."""
        more = self.later.new_zeros((rows, self.later.shape[1]))
        return replace(self, later=torch.cat([self.later, more]))

    def scores(self, queries: torch.Tensor, rows: int) -> torch.Tensor:
        """Return float32 ``[Q, rows]``, about the inner products with float32 ``[Q, W]``.

        Args:
            queries: on a CPU.
            rows: at least as many as were packed.
        """
        asked, later = queries.to(self.later.dtype), rows - len(self.packed)
        found = self.packed.times(asked)
        if later:
            found = torch.cat([found, asked @ self.later[:later].T], dim=1)
        return found.float()

    def contenders(
        self, scores: torch.Tensor, query: NDArray[np.float32], k: int
    ) -> NDArray[np.int64]:
        """Return the places whose exact scores may be among the ``k`` best above ``-inf``, rising.

        Args:
            scores: float32 ``[n]``, some of :meth:`scores`; ``-inf`` for what is hidden.
            query: float32 ``[W]``, that they answer.
            k: at least 1.
        """
        every = scores.numpy()
        places, best = leading(every, k)
        if len(places) < k:
            return np.sort(places)
        edge, twice = float(best[-1]), 2 * self._error(query)
        # The products themselves are rounded once more: the best to below, the next to above.
        lowest = edge - twice - 1.01 * torch.finfo(self.later.dtype).eps * (abs(edge) + twice)
        return np.flatnonzero(every >= np.float32(lowest))

    def _bounding(self, exact: torch.Tensor, rounded: torch.Tensor) -> "FirstPass":
        """Return a copy whose bounds hold for these rows, too."""
        longest, lost = self.longest, self.lost
        for first in range(0, len(exact), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            back = rounded[part].float()
            longest = np.maximum(longest, self._lengths(back.numpy()).max(axis=0))
            lost = np.maximum(lost, self._lengths((exact[part] - back).numpy()).max(axis=0))
        return replace(self, longest=longest, lost=lost)

    def _error(self, query: NDArray[np.float32]) -> float:
        """Return what a sum may be off before it is rounded."""
        rounded = torch.from_numpy(query).to(self.later.dtype).float().numpy()
        whole, missing = self._lengths(np.stack([query, query - rounded]))
        summed = len(query) * FLOAT32
        return float(whole @ (self.lost + summed * self.longest) + missing @ self.longest)

    def _lengths(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return float64 ``[M, B]``, the length of each vector within each block."""
        squares = np.square(vectors, dtype=np.float64)
        return np.sqrt(np.add.reduceat(squares, self.starts, axis=1))
