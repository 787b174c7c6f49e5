"""Many names in one buffer: a long one makes no other longer, as it would in a NumPy array."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl


@dataclass(frozen=True)
class Names:
    """Distinct names in the order of their UTF-8 bytes, which is that of their code points.

    Attributes:
        text: all of them in UTF-8, one after the other.
        starts: N + 1 numbers of 8 bytes: ``starts[n]`` to ``starts[n + 1]`` is name n.
    """

    text: bytes
    starts: "array[int]"

    @classmethod
    def of(cls, names: pl.Series) -> "Names":
        """Return distinct names as Polars has sorted them, which it does by bytes."""
        starts = array("q", [0])  # read one by one quicker than NumPy's
        starts.frombytes(np.cumsum(names.str.len_bytes().to_numpy(), dtype=np.int64).tobytes())
        return cls(b"".join(name.encode() for name in names.to_list()), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __iter__(self) -> Iterator[str]:
        return (self._bytes(row).decode() for row in range(len(self)))

    def row(self, name: str) -> int | None:
        """Return the place of a name; None for one that is not there."""
        wanted = name.encode()
        place = bisect_left(range(len(self)), wanted, key=self._bytes)
        return place if place < len(self) and self._bytes(place) == wanted else None

    def _bytes(self, row: int) -> bytes:
        return self.text[self.starts[row] : self.starts[row + 1]]
