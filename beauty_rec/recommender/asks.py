"""What is asked: the same for an event of the past and for a shopper of now."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beauty_rec.ranking.features.build import Query
from beauty_rec.towers.users.inputs import Requests


@dataclass(frozen=True)
class Asks:
    """Q asks of one item space.

    Attributes:
        queries: time, past items, text and profile of each.
        requests: the same as the user tower reads it.
        texts: float32 ``[Q, T]``, unit vectors of the texts; zeros where there is none.
        seen: rows of the items that are left out, one array an ask.
    """

    queries: Sequence[Query]
    requests: Requests
    texts: NDArray[np.float32]
    seen: Sequence[NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def has_text(self) -> NDArray[np.bool_]:
        """bool ``[Q]``."""
        return np.array([bool(query.context) for query in self.queries], dtype=bool)

    def part(self, rows: slice) -> "Asks":
        """Return some of the asks."""
        return Asks(self.queries[rows], self.requests[rows], self.texts[rows], self.seen[rows])
