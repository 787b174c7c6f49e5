"""What train events say of an item within a context: the cells that have any, and no others.

A shop of a million items and two hundred contexts has a table of two hundred million cells, and
events in few of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

FLOOR = 0.1
"""Events that a logarithm of a count starts from."""


def only_appends(order: Rows, rows: int) -> bool:
    """Whether ``order`` is the rows of an item table with its last one again, for new items.

    No event is of that row, so that what is sparse stays as it is and need not be copied.
    """
    wanted = np.minimum(np.arange(len(order)), rows - 1)
    return len(order) >= rows and np.array_equal(order, wanted)


@dataclass(frozen=True)
class ContextEvents:
    """M cells of C contexts and of the rows of an item table, by context, then row.

    Attributes:
        start: int64 ``[C + 1]``; the cells ``start[c]:start[c + 1]`` are of context c.
        item: int64 ``[M]``, the row of each.
        log_count: ``[H, M]``, log(0.1 + decayed events) for each half-life.
        lift: ``[H, M]``, log p(context | item) / p(context), shrunk.
        lift_outside: ``[H, rows]``, the same of a context that an item has no event in.
    """

    start: Rows
    item: Rows
    log_count: Floats
    lift: Floats
    lift_outside: Floats

    @classmethod
    def build(
        cls,
        item: Rows,
        rows: int,
        context: Rows,
        contexts: int,
        weights: Sequence[NDArray[np.float64]],
        prior: float,
    ) -> "ContextEvents":
        """Return what n events say.

        Args:
            item: int64 ``[n]``, the row of each event's item.
            rows: of the item table.
            context: int64 ``[n]``, of C; -1: none.
            contexts: C.
            weights: what each event counts, float64 ``[n]``, for each half-life.
            prior: average events that a share is shrunk by.
        """
        known = context >= 0
        cells, of_event = np.unique(context[known] * rows + item[known], return_inverse=True)
        where, own = cells // rows, cells % rows
        log_count = np.empty((len(weights), len(cells)), np.float32)
        lift, outside = np.empty_like(log_count), np.zeros((len(weights), rows), np.float32)
        for half_life, weight in enumerate(weights):
            counts = np.bincount(of_event, weight[known], len(cells))
            of_item = np.bincount(own, counts, rows) + prior
            share = (np.bincount(where, counts, contexts) + 1) / (counts.sum() + contexts)
            log_count[half_life] = np.log(counts + FLOOR)
            lift[half_life] = np.log((counts + prior * share[where]) / of_item[own] / share[where])
            outside[half_life] = np.log(prior / of_item)
        return cls(np.searchsorted(where, np.arange(contexts + 1)), own, log_count, lift, outside)

    @classmethod
    def of_tables(cls, log_count: Floats, lift: Floats) -> "ContextEvents":
        """Return the cells of whole tables ``[H, C, rows]``, as item tables were once saved."""
        filled = np.asarray((log_count > np.float32(np.log(FLOOR))).any(axis=0))
        context, item = np.nonzero(filled)
        outside = np.where(filled, -np.inf, lift).max(axis=1, initial=-np.inf)
        return cls(
            np.searchsorted(context, np.arange(len(filled) + 1)),
            item,
            log_count[:, context, item],
            lift[:, context, item],
            np.where(np.isfinite(outside), outside, np.float32(0)),
        )

    def of_pairs(self, context: Rows, item: Rows) -> list[Floats]:
        """Return the log counts, then the lifts, for each half-life, float32 ``[N]`` each.

        NaN where ``context`` is -1.

        Args:
            context, item: int64 ``[N]``.
        """
        cells = self._cells
        asked = context * self.lift_outside.shape[1] + item
        place = np.minimum(np.searchsorted(cells, asked), max(len(cells) - 1, 0))
        inside = cells[place] == asked if len(cells) else np.zeros(len(asked), bool)
        found = [np.full(len(item), np.log(FLOOR), dtype=np.float32) for _ in self.log_count]
        found += [outside[item] for outside in self.lift_outside]
        for column, own in zip(found, (*self.log_count, *self.lift), strict=True):
            column[inside] = own[place[inside]]
            column[context < 0] = np.nan
        return found

    @cached_property
    def _cells(self) -> Rows:
        """A number for each cell, ascending: its place in a table of all contexts and rows."""
        context = np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))
        return np.asarray(context * self.lift_outside.shape[1] + self.item, dtype=np.int64)

    def log_counts(self, context: int, half_life: int = 0) -> Floats:
        """Return the log counts of all rows in one context, float32 ``[rows]``."""
        found = np.full(self.lift_outside.shape[1], np.log(FLOOR), dtype=np.float32)
        cells = slice(self.start[context], self.start[context + 1])
        found[self.item[cells]] = self.log_count[half_life, cells]
        return found

    def taken(self, order: Rows) -> "ContextEvents":
        """Return the same of the rows ``order``."""
        outside = self.lift_outside[:, order]
        if not len(self.item) or only_appends(order, self.lift_outside.shape[1]):
            return ContextEvents(self.start, self.item, self.log_count, self.lift, outside)
        numbers = np.arange(1, len(self.item) + 1)  # a cell of number 0 would be none
        shape = (len(self.start) - 1, self.lift_outside.shape[1])
        moved = csr_array((numbers, self.item, self.start), shape=shape)[:, order]
        moved.sort_indices()
        cells = moved.data - 1
        return ContextEvents(
            moved.indptr.astype(np.int64),
            moved.indices.astype(np.int64),
            self.log_count[:, cells],
            self.lift[:, cells],
            outside,
        )
