"""What a source says of every item to an ask, where that takes no array of all items of its own."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import threshold

from beauty_rec.search.near_ties import SLACK, ranked
from beauty_rec.search.top import leading

SPARE = 256
"""Further rows that are kept of what many asks share: as many may be hidden from one of them."""
KEPT_BYTES = 128 << 20
"""Of scores of all items that are kept for further asks."""

Rows = NDArray[np.int64]
Scores = NDArray[np.float32]


class Scored(Protocol):
    """Scores of N items for one ask; what is not above 0 is nothing."""

    def best(self, hidden: Rows, depth: int) -> tuple[Rows, Scores]:
        """Return rows and scores of the best that are not hidden (rows, ascending), best first."""
        ...

    def at(self, rows: Rows) -> Scores:
        """Return the scores of some rows, NaN for nothing."""
        ...

    def dense(self, hidden: Rows) -> torch.Tensor:
        """Return all scores, float32 ``[N]``, a copy; ``-inf`` for nothing and what is hidden."""
        ...


@dataclass(frozen=True)
class Few:
    """A source that knows few items: ``rows``, ascending, and their scores; N items in all."""

    rows: Rows
    scores: Scores
    items: int

    def best(self, hidden: Rows, depth: int) -> tuple[Rows, Scores]:
        """See :class:`Scored`."""
        kept = ~are_in(self.rows, hidden) & (self.scores > 0)
        return first_of(self.rows[kept], self.scores[kept], depth)

    def at(self, rows: Rows) -> Scores:
        """See :class:`Scored`."""
        found = np.full(len(rows), np.nan, np.float32)
        if len(self.rows):
            place = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
            known = (self.rows[place] == rows) & (self.scores[place] > 0)
            found[known] = self.scores[place[known]]
        return found

    def dense(self, hidden: Rows) -> torch.Tensor:
        """See :class:`Scored`."""
        out = np.full(self.items, -np.inf, np.float32)
        out[self.rows] = np.where(self.scores > 0, self.scores, -np.inf)
        out[hidden] = -np.inf
        return torch.from_numpy(out)


class Common:
    """What a source says to all asks of one kind: its best are sought once for all of them.

    Rows that are ``alike`` to it are none of these: which of them are good is another's to say.
    """

    def __init__(self, scores: Scores, gone: Rows, depth: int, alike: Rows | None = None) -> None:
        self._scores = threshold(torch.from_numpy(scores), 0.0, -torch.inf)
        self._alike = np.zeros(0, np.int64) if alike is None else alike
        seen = self._scores.clone()
        seen[torch.from_numpy(np.concatenate([gone, self._alike]))] = -torch.inf
        self._rows, self._values = leading(seen.numpy(), depth + SLACK + SPARE)
        self._all = len(self._rows) < depth + SLACK + SPARE
        self._usual = depth, first_of(self._rows, self._values, depth)

    @property
    def nbytes(self) -> int:
        """Of the scores."""
        return self._scores.nbytes

    def best(self, hidden: Rows, depth: int) -> tuple[Rows, Scores]:
        """See :class:`Scored`."""
        kept = ~are_in(self._rows, hidden)
        if depth == self._usual[0] and kept.all():
            return self._usual[1]
        if self._all or int(kept.sum()) >= depth + SLACK:
            return first_of(self._rows[kept], self._values[kept], depth)
        every = self.dense(hidden)
        every[torch.from_numpy(self._alike)] = -torch.inf
        rows, values = leading(every.numpy(), depth + SLACK)
        return first_of(rows, values, depth)

    def at(self, rows: Rows) -> Scores:
        """See :class:`Scored`."""
        found: Scores = self._scores[torch.from_numpy(rows)].numpy()
        found[~np.isfinite(found)] = np.nan
        return found

    def dense(self, hidden: Rows) -> torch.Tensor:
        """See :class:`Scored`."""
        own = self._scores.clone()
        own[torch.from_numpy(hidden)] = -torch.inf
        return own


class CommonScores:
    """The :class:`Common` ones that were asked for last, by a key. Threads may share them."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Common] = OrderedDict()
        self._gone: Rows = np.zeros(0, np.int64)
        self._lock = threading.Lock()

    def of(self, key: Hashable, gone: Rows, make: Callable[[], Common]) -> Common:
        """Return those of a key without the rows that are gone, made where they are not there."""
        with self._lock:
            if not np.array_equal(gone, self._gone):
                self._kept.clear()
                self._gone = gone
            if key not in self._kept:
                self._kept[key] = make()
                if len(self._kept) > max(1, KEPT_BYTES // max(1, self._kept[key].nbytes)):
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]


def are_in(rows: Rows, rising: Rows) -> NDArray[np.bool_]:
    """Return which of ``rows`` are among ascending ones; ``np.isin`` takes five times as long."""
    if not len(rising):
        return np.zeros(len(rows), bool)
    place = np.minimum(np.searchsorted(rising, rows), len(rising) - 1)
    return np.asarray(rising[place] == rows)


def first_of(rows: Rows, scores: Scores, depth: int) -> tuple[Rows, Scores]:
    """Return the ``depth`` best, near ties in the order of the rows."""
    if len(rows) > depth + SLACK:
        highest = np.lexsort((rows, -scores))[: depth + SLACK]
        rows, scores = rows[highest], scores[highest]
    order = ranked(scores, rows)[:depth]
    return rows[order], scores[order]
