"""The first pass over all items: quick products, and which items may be among the best by them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad

from beauty_rec.retriever.encoding.quantized_linear import (
    LEVELS,
    Int8Weight,
    int8_rows,
    multiplies_int8,
    unsigned,
)
from beauty_rec.retriever.packed_linear import PackedMatrix, padded_rows

AT_ONCE = 16_384
"""Rows that are rounded, and their rounding measured, at once."""
TOGETHER = 32
"""Queries whose two digits are multiplied at once; of more that takes longer."""
EPS = torch.finfo(torch.float32).eps


class Int8Matrix:
    """A matrix ``[N, W]`` in int8: a scale for each row, and one for each column.

    The columns' scales have statistics and vectors fill the same range. A query is rounded to two
    digits of eight bits, the second of what the first leaves: both are multiplied while a row is
    at hand, so they take as long as one.
    """

    def __init__(self, columns: torch.Tensor, whole: torch.Tensor, scales: torch.Tensor) -> None:
        self._columns, self._weight = columns, Int8Weight(whole, scales)

    def __len__(self) -> int:
        return len(self._weight)

    def times(self, queries: torch.Tensor) -> torch.Tensor:
        """Return float32 ``[Q, N]`` for queries float32 ``[Q, W]``."""
        (high, much), (low, little) = self._digits(queries)
        if len(queries) > TOGETHER:
            first, second = self._product(high), self._product(low)
        else:
            first, second = self._product(torch.cat([high, low])).split(len(queries))
        return first.mul_(much[:, None]).addcmul_(second, little[:, None])

    def _digits(self, queries: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        asked = queries * self._columns
        whole, scale = int8_rows(asked)
        return [(whole, scale), int8_rows(asked - whole * scale[:, None])]

    def _product(self, whole: torch.Tensor) -> torch.Tensor:
        missing = padded_rows(len(whole)) - len(whole)
        return self._weight.times(pad(unsigned(whole), (0, 0, 0, missing)))[: len(whole)]


@dataclass(frozen=True)
class FirstPass:
    """A copy of a float32 matrix that is quick to multiply, and how far off its products may be.

    In int8 where the CPU has instructions for it: a product with few queries takes as long as
    reading the matrix does, so a quarter of the bytes take a quarter of the time.
    :meth:`contenders` bounds the error, by Cauchy and Schwarz over blocks of columns, so nothing
    is lost to it.

    Attributes:
        packed: the rows of the matrix.
        starts: the first column of each block; blocks differ in the lengths of their rows.
        lost: float32 ``[rows, B]``, what the product of a row with a query may be off for each
            block in which the query has a length of 1; with the rows that came later.
        most: float32 ``[B]``, the largest of these.
        columns: float32 ``[W]``, what queries are multiplied by before they are rounded.
        reach: float32 ``[B]``, what their rounding adds where they are not 0, for a largest
            product of 1.
    """

    packed: PackedMatrix | Int8Matrix
    starts: Sequence[int]
    lost: NDArray[np.float32]
    most: NDArray[np.float32]
    columns: NDArray[np.float32]
    reach: NDArray[np.float32]

    @classmethod
    def of(
        cls, matrix: torch.Tensor, starts: Sequence[int], quantized: bool | None = None
    ) -> "FirstPass":
        """Return the copy of a matrix.

        Args:
            matrix: float32 ``[N, W]``, on a CPU.
            starts: the first column of each block, the first of all 0.
            quantized: in int8; None: if this CPU multiplies that faster.
        """
        quantized = len(matrix) > 0 and (multiplies_int8() if quantized is None else quantized)
        columns = torch.ones(matrix.shape[1])
        if quantized:
            columns = matrix.abs().amax(0).clamp_min(1e-12)
        whole, scales = torch.empty(matrix.shape, dtype=torch.int8), torch.empty(len(matrix))
        longest, lost = np.zeros(len(starts)), [np.zeros((0, len(starts)), np.float32)]
        for first in range(0, len(matrix), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            exact = rounded = matrix[part]
            if quantized:
                whole[part], scales[part] = int8_rows(exact / columns)
                scaled = whole[part] * scales[part, None]
                longest = np.maximum(longest, _lengths(scaled.numpy(), starts).max(axis=0))
                rounded = scaled * columns
            lost.append(_lost(exact, rounded, starts))
        packed = Int8Matrix(columns, whole, scales) if quantized else PackedMatrix(matrix)
        every, most = np.concatenate(lost), np.max([part.max(0, initial=0) for part in lost], 0)
        # Half a step of the second digit in each column; Cauchy and Schwarz.
        widths = np.diff([*starts, matrix.shape[1]])
        reach = 1.01 / (4 * LEVELS**2) * np.sqrt(widths) * longest
        return cls(packed, starts, every, most, columns.numpy(), reach.astype(np.float32))

    def with_rows(self, vectors: torch.Tensor) -> "FirstPass":
        """Return one whose bounds hold for further rows, float32 ``[M, W]``, too.

        They are multiplied as they are: see ``later`` of :meth:`scores`.
        """
        more = _lost(vectors, vectors, self.starts)
        most = np.maximum(self.most, more.max(axis=0, initial=0))
        return replace(self, lost=np.concatenate([self.lost, more]), most=most)

    def scores(self, queries: torch.Tensor, later: torch.Tensor) -> torch.Tensor:
        """Return float32 ``[Q, rows]``, about the inner products with float32 ``[Q, W]``.

        Args:
            queries: on a CPU.
            later: float32 ``[M, W]``, the rows that came later.
        """
        found = self.packed.times(queries)
        return torch.cat([found, queries @ later.T], dim=1) if len(later) else found

    def contenders(
        self,
        scores: torch.Tensor,
        query: NDArray[np.float32],
        least: float,
        among: NDArray[np.int64] | None = None,
    ) -> NDArray[np.int64]:
        """Return the places whose exact scores may be at least ``least``, rising.

        Args:
            scores: float32 ``[n]``, some of :meth:`scores`; ``-inf`` for what is hidden.
            query: float32 ``[W]``, that they answer.
            least: a finite score.
            among: int64 ``[n]``, the rows that the scores are of; None: all.
        """
        every, (lengths, rest) = scores.numpy(), self._allowance(query)
        edge = np.float32(least - 4 * EPS * abs(least))  # sums are rounded once more
        near = np.flatnonzero(every >= edge - (self.most @ lengths + rest))
        off = self.lost[near if among is None else among[near]] @ lengths + rest
        kept: NDArray[np.int64] = near[every[near] + off >= edge]
        return kept

    def _allowance(self, query: NDArray[np.float32]) -> tuple[NDArray[np.float32], np.float32]:
        """Return what ``lost`` is multiplied by, ``[B]``, and what the query's rounding adds."""
        lengths = _lengths(query[None], self.starts)[0].astype(np.float32)
        largest = np.abs(query * self.columns).max()
        return lengths, np.float32(largest * self.reach[lengths > 0].sum())


def _lost(exact: torch.Tensor, rounded: torch.Tensor, starts: Sequence[int]) -> NDArray[np.float32]:
    """Return ``lost`` of rows for which others are multiplied."""
    lost = _lengths((exact - rounded).numpy(), starts)
    lost += exact.shape[1] * EPS * _lengths(exact.numpy(), starts)  # of summing in float32
    return (1.001 * lost).astype(np.float32)


def _lengths(vectors: NDArray[np.float32], starts: Sequence[int]) -> NDArray[np.float64]:
    """Return float64 ``[M, B]``, the length of each vector within each block."""
    return np.sqrt(np.add.reduceat(np.square(vectors, dtype=np.float64), starts, axis=1))
