"""What was known of the items at the start of each fold of train, read from its folder.

Only the inputs are those of then. The text encoder and the item tower that read them learned from
all of train.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from beauty_rec.artifacts import Vectors

STARTS = "starts.json"
ATTRIBUTES = "attributes.parquet"
ROWS = "rows.parquet"
TOWER, TEXTS = "tower.npy", "texts.npy"


@dataclass(frozen=True)
class PastItems:
    """Attributes, tower vectors and text vectors of the items before each of ``starts``.

    Attributes:
        folder: a folder ``START/`` for each moment with the attributes and, for each item that was
            known, its row of ``tower.npy`` and of ``texts.npy``: vectors of all that items ever
            were, each kept once.
        starts: Unix ms, ascending.
    """

    folder: Path
    starts: tuple[int, ...]

    @classmethod
    def load(cls, folder: Path) -> "PastItems":
        """Read which moments a folder holds."""
        starts = json.loads((folder / STARTS).read_text(encoding="utf-8"))
        return cls(folder, tuple(starts))

    def attributes(self, start_ms: int) -> pl.DataFrame:
        """Return the attributes frame of the items known before a fold's start."""
        return pl.read_parquet(self._of(start_ms) / ATTRIBUTES, glob=False)

    def vectors(self, start_ms: int) -> Vectors:
        """Return the unit vectors of the item tower, float32 ``[N, D]``, of the items known."""
        return self._read(start_ms, TOWER, "tower")

    def texts(self, start_ms: int) -> Vectors:
        """Return the unit vectors of the texts, float32 ``[M, T]``, of the items that had one."""
        return self._read(start_ms, TEXTS, "text")

    def _read(self, start_ms: int, file: str, column: str) -> Vectors:
        rows = pl.read_parquet(self._of(start_ms) / ROWS, glob=False).filter(pl.col(column) >= 0)
        matrix = np.load(self.folder / file, mmap_mode="r", allow_pickle=False)
        return Vectors(rows["parent_asin"].to_list(), matrix[rows[column].to_numpy()])

    def _of(self, start_ms: int) -> Path:
        if start_ms not in self.starts:
            raise ValueError(
                f"{self.folder} holds no fold that starts at {start_ms}: it was made after the "
                "user tower; train that anew: beauty-rec run --select user_tower"
            )
        return self.folder / str(start_ms)
