"""The coordinates in which items lie near each other when users score them alike.

A graph links items that are near, and search walks along the links. By the inner product of two
item vectors that goes wrong: popular items are long, so they are everybody's neighbours, and what
separates items need not be what users ask for. So queries are whitened, and items take the inverse
map: scores stay what they were, while the inner product of two items becomes the mean product of
their scores over all queries. Users ask along few directions: those along which hardly anything is
asked are left out, so the graph is over some dozens of coordinates, not hundreds. One more
coordinate, which queries have as 0, makes all items equally long.

Source: Bachrach et al., Speeding up the Xbox recommender system using a Euclidean transformation
for inner-product spaces (RecSys 2014), for the last coordinate.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLOOR = 0.1
"""Of the mean variance of the queries, added in every direction: what nobody has asked for yet can
be asked for."""
LEFT_OUT = 1e-8
"""Share of the queries' squares that may lie along the directions that are left out."""
ROWS = 8_192
"""Items that are mapped at a time."""


@dataclass(frozen=True)
class Whitening:
    """Queries and items of width D → width K + 1, with nearly the same inner products.

    Attributes:
        of_queries: float32 ``[K, D]``.
        of_items: float32 ``[K, D]``.
    """

    of_queries: NDArray[np.float32]
    of_items: NDArray[np.float32]

    @classmethod
    def of(
        cls, queries: NDArray[np.float32], items: NDArray[np.float32], most: int | None = None
    ) -> "Whitening":
        """Return the whitening of queries like these, float32 ``[Q, D]``, for ``[N, D]`` items.

        K is the fewest directions of one half of the queries along which the other half lies, up
        to ``LEFT_OUT`` of its squares; D, or ``most``, where no fewer are enough.
        """
        # A column counts by what it does to scores, however large its values are.
        scale = np.sqrt(np.einsum("nd,nd->d", items, items, dtype=np.float64) / max(1, len(items)))
        scale[scale == 0] = 1
        asked = queries * scale
        width = min(_directions(asked), most or asked.shape[1])
        variance, axes = _axes(asked)
        floor = FLOOR * variance.mean() or 1.0
        stretch = np.sqrt((variance[:width] + floor) / floor)
        stretch /= stretch[0]  # no item grows by its mapping
        along = axes[:width]
        return cls(
            (along * scale / stretch[:, None]).astype(np.float32),
            (along / scale * stretch[:, None]).astype(np.float32),
        )

    @property
    def width(self) -> int:
        """K + 1."""
        return len(self.of_queries) + 1

    def queries(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 ``[Q, K + 1]``."""
        return whitened(matrix, self.of_queries)

    def items(self, matrix: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Yield float32 ``[b, K + 1]``, block by block; all are equally long."""
        longest = max((_squares(block).max() for block in self._blocks(matrix)), default=0.0)
        for block in self._blocks(matrix):
            rest = np.sqrt(np.maximum(longest - _squares(block), 0))
            yield np.concatenate([block, rest[:, None]], axis=1).astype(np.float32)

    def _blocks(self, matrix: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
        for start in range(0, len(matrix), ROWS):
            yield matrix[start : start + ROWS].astype(np.float64) @ self.of_items.T


def whitened(queries: NDArray[np.float32], of_queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``[Q, D]`` queries as float32 ``[Q, K + 1]``, by a map ``[K, D]``."""
    mapped = queries.astype(np.float64) @ of_queries.T
    return np.pad(mapped, ((0, 0), (0, 1))).astype(np.float32)


def _axes(asked: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the principal axes, the largest first: squares ``[D]`` along them, ``[D, D]`` rows."""
    squares, axes = np.linalg.eigh(asked.T @ asked)
    return np.maximum(squares[::-1], 0), axes.T[::-1]


def _directions(asked: NDArray[np.float64]) -> int:
    """Return how many axes of the even rows hold all but ``LEFT_OUT`` of the odd rows' squares.

    All of the space where none do.
    """
    learned, held = asked[::2], asked[1::2]
    axes = np.linalg.svd(learned, full_matrices=False)[2]
    along, whole = np.square(held @ axes.T).sum(axis=0), np.square(held).sum()
    missed = whole - along.cumsum()
    enough = np.flatnonzero(missed <= LEFT_OUT * whole)
    return int(enough[0]) + 1 if whole and len(enough) else int(asked.shape[1])


def _squares(block: NDArray[np.float64]) -> NDArray[np.float64]:
    squares: NDArray[np.float64] = np.square(block).sum(axis=1)
    return squares
