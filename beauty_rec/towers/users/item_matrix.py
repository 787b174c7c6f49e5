"""The item side of the inner product: frozen tower vectors beside the statistics columns."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors, write_text_atomic

WIDTHS = "matrix.json"


@dataclass(frozen=True)
class ItemMatrix:
    """``[N, D + E + T]``: tower vector, statistics, text vector (T may be 0).

    The inner product of a row with a user vector is the score. This is what the item index holds.
    ``as_of_ms`` is the moment (Unix ms) at which the statistics were taken.
    """

    vectors: Vectors
    tower: int
    statistics: int
    text: int
    as_of_ms: int

    @property
    def ids(self) -> list[str]:
        """The items, row by row."""
        return self.vectors.ids

    @property
    def matrix(self) -> NDArray[np.float32]:
        """float32 ``[N, D + E + T]``."""
        return self.vectors.matrix

    def save(self, folder: Path) -> None:
        """Write the matrix, its widths and its moment into a new or empty ``folder``."""
        self.vectors.save(folder)
        widths = {name: getattr(self, name) for name in ("tower", "statistics", "text", "as_of_ms")}
        write_text_atomic(folder / WIDTHS, json.dumps(widths, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "ItemMatrix":
        """Read what :meth:`save` wrote; the matrix is memory-mapped, read-only."""
        widths = json.loads((folder / WIDTHS).read_text(encoding="utf-8"))
        return cls(Vectors.load(folder), **widths)


def build_item_matrix(
    item_vectors: Vectors,
    statistics: NDArray[np.float32],
    as_of_ms: int,
    text_vectors: Vectors | None = None,
) -> ItemMatrix:
    """Put the three blocks side by side.

    Args:
        item_vectors: ``[N, D]`` of the item tower; their rows name the items.
        statistics: float32 ``[N, E]``, row for row.
        as_of_ms: when they were taken, Unix milliseconds.
        text_vectors: of the text encoder, L2-normalised; an item without one gets zeros.
    """
    blocks = [item_vectors.matrix, statistics]
    if text_vectors is not None:
        blocks.append(aligned(text_vectors, item_vectors.ids))
    matrix = np.ascontiguousarray(np.concatenate(blocks, axis=1), dtype=np.float32)
    widths = [block.shape[1] for block in blocks] + [0]
    return ItemMatrix(Vectors(item_vectors.ids, matrix), widths[0], widths[1], widths[2], as_of_ms)


def aligned(vectors: Vectors, ids: list[str]) -> NDArray[np.float32]:
    """Return float32 ``[len(ids), D]``: the vector of each id; zeros where there is none.

    Where the ids are the vectors' own no copy is made.
    """
    if vectors.ids == ids:
        return vectors.matrix
    place = {name: row for row, name in enumerate(vectors.ids)}
    rows = np.array([place.get(name, -1) for name in ids], dtype=np.int64)
    out = np.zeros((len(ids), vectors.matrix.shape[1]), np.float32)
    out[rows >= 0] = vectors.matrix[rows[rows >= 0]]
    return out
