"""The map under which items lie near each other when users score them alike.

A graph links items that are near, and search walks along the links. By the inner product of two
item vectors that goes wrong: popular items are long, so they are everybody's neighbours, and what
separates items need not be what users ask for. So queries are whitened, and items take the inverse
map: scores stay what they were, while the inner product of two items becomes the mean product of
their scores over all queries. One more coordinate, which queries have as 0, makes all items equally
long.

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
ROWS = 8_192
"""Items that are mapped at a time."""


@dataclass(frozen=True)
class Whitening:
    """Queries and items of width D → width D + 1, with the same inner products.

    Attributes:
        scale: float32 ``[D]``, that items are divided by before anything else: so a column counts
            by what it does to scores, however large its values are.
        stretch: float32 ``[K]``, that items are multiplied by along ``directions``, against all
            others.
        directions: float32 ``[K, D]``, orthonormal rows.
    """

    scale: NDArray[np.float32]
    stretch: NDArray[np.float32]
    directions: NDArray[np.float32]

    @classmethod
    def of(cls, queries: NDArray[np.float32], items: NDArray[np.float32]) -> "Whitening":
        """Return the whitening of queries like these, float32 ``[Q, D]``, for ``[N, D]`` items."""
        scale = np.sqrt(np.einsum("nd,nd->d", items, items, dtype=np.float64) / max(1, len(items)))
        scale = np.where(scale > 0, scale, 1).astype(np.float32)
        asked = queries.astype(np.float64) * scale
        _, sizes, directions = np.linalg.svd(asked, full_matrices=False)
        variance = sizes**2
        floor = FLOOR * variance.sum() / max(1, queries.shape[1])
        known = variance > 0
        stretch = np.sqrt((variance[known] + floor) / floor)
        return cls(scale, stretch.astype(np.float32), directions[known].astype(np.float32))

    @property
    def width(self) -> int:
        """D + 1."""
        return len(self.scale) + 1

    def queries(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 ``[Q, D + 1]``."""
        given = matrix.astype(np.float64) * self.scale
        mapped = self._mapped(given, self._largest / self.stretch, self._largest)
        return np.pad(mapped, ((0, 0), (0, 1))).astype(np.float32)

    def items(self, matrix: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Yield float32 ``[b, D + 1]``, block by block; all are equally long."""
        longest = max((self._squares(block).max() for block in self._blocks(matrix)), default=0.0)
        for block in self._blocks(matrix):
            rest = np.sqrt(np.maximum(longest - self._squares(block), 0))
            yield np.concatenate([block, rest[:, None]], axis=1).astype(np.float32)

    def to_bytes(self) -> tuple[bytes, bytes, bytes]:
        """Return ``scale``, ``stretch`` and ``directions``, little-endian float32."""
        scale, stretch, directions = (
            part.astype("<f4").tobytes() for part in (self.scale, self.stretch, self.directions)
        )
        return scale, stretch, directions

    @classmethod
    def from_bytes(cls, scale: bytes, stretch: bytes, directions: bytes) -> "Whitening":
        """Read what :meth:`to_bytes` gave."""
        parts = [np.frombuffer(part, "<f4") for part in (scale, stretch, directions)]
        own, along, flat = (part.astype(np.float32) for part in parts)
        return cls(own, along, flat.reshape(len(along), len(own)))

    @property
    def _largest(self) -> float:
        """What items are divided by, and queries multiplied: so no item grows by its mapping."""
        return float(self.stretch.max(initial=1.0))

    def _blocks(self, matrix: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
        for start in range(0, len(matrix), ROWS):
            given = matrix[start : start + ROWS].astype(np.float64) / self.scale
            yield self._mapped(given, self.stretch / self._largest, 1 / self._largest)

    def _mapped(
        self, given: NDArray[np.float64], along: NDArray[np.float32], across: float
    ) -> NDArray[np.float64]:
        directions = self.directions.astype(np.float64)
        return given * across + (given @ directions.T) * (along - across) @ directions

    @staticmethod
    def _squares(block: NDArray[np.float64]) -> NDArray[np.float64]:
        squares: NDArray[np.float64] = np.square(block).sum(axis=1)
        return squares
