"""Rows of numbers in a file: what a training reads at random and memory need not hold."""

import mmap
import os
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

MAPPED_BYTES = 256 << 20
"""Read or written before the pages are let go of."""
LONG_ROW_BYTES = 4_096
"""A touched page may bring megabytes around it into the map: longer rows are read past it."""


class RowFile:
    """``[N, ...]`` in a memory-mapped file without a name, which ends with the process.

    >>> states = RowFile((2, 1, 3), np.float16)
    >>> states.put(np.array([1]), np.ones((1, 1, 3)))
    >>> states.take(np.array([1, 0])).tolist()
    [[[1.0, 1.0, 1.0]], [[0.0, 0.0, 0.0]]]
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: DTypeLike, folder: Path | None = None
    ) -> None:
        """Make one of zeros.

        Args:
            shape: N, and that of a row.
            dtype: of the numbers.
            folder: on whose disk it lies; None: that of temporary files.
        """
        count = int(np.prod(shape))
        size = max(1, count * np.dtype(dtype).itemsize)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.truncate(size)
            self._map = mmap.mmap(file.fileno(), size)
            self._number = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._number)
        self._rows = np.frombuffer(self._map, dtype, count).reshape(shape)
        self._touched = 0

    def put(self, rows: NDArray[np.int64] | slice, values: NDArray[Any]) -> None:
        """Write some rows; of rows that are matrices the first lines will do."""
        if values.ndim > 1:
            self._rows[rows, : values.shape[1]] = values
        else:
            self._rows[rows] = values
        self._touch(values.nbytes)

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return a copy of some rows."""
        found: NDArray[Any]
        length = self._rows.strides[0] if self._rows.size else 0
        if length < LONG_ROW_BYTES:
            found = self._rows[rows]
            self._touch(found.nbytes)
            return found
        found = np.empty((len(rows), *self._rows.shape[1:]), self._rows.dtype)
        lines = found.reshape(len(rows), -1).view(np.uint8)
        for line, row in zip(lines, rows.tolist(), strict=True):
            os.preadv(self._number, [line.data], row * length)
        return found

    def _touch(self, size: int) -> None:
        """Let go of the mapped pages now and then: the system keeps them while it has room."""
        self._touched += size
        if self._touched > MAPPED_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._touched = 0
