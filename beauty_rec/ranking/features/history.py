"""The attributes of a history: its most frequent ids, and how near an item's ids are to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beauty_rec.ranking.features.item_table import ItemTable

CHUNK_VALUES = 8_000_000
"""Values of a dense block of queries × ids: 32 MB."""


class IdCounts(NamedTuple):
    """Sorted by query: ``ids[i]`` stands in ``counts[i]`` items of the history of ``query[i]``."""

    query: NDArray[np.int64]
    ids: NDArray[np.int64]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class HistoryIds:
    """Id counts of Q histories; ``length`` [Q] counts the items, known or not.

    ``rows`` holds each history's known items once, as rows of the table.
    """

    length: NDArray[np.int64]
    rows: list[NDArray[np.int64]]
    std: IdCounts
    re: IdCounts

    def top(self, counts: IdCounts, k: int) -> NDArray[np.int32]:
        """Return the k most frequent ids of each query, int32 [Q, k], filled with 0.

        Ties go to the smaller id.
        """
        out = np.zeros((len(self.length), k), dtype=np.int32)
        order = np.lexsort((counts.ids, -counts.counts, counts.query))
        query = counts.query[order]
        starts = np.searchsorted(query, np.arange(len(self.length)))
        place = np.arange(len(query)) - starts[query]
        kept = place < k
        out[query[kept], place[kept]] = counts.ids[order][kept]
        return out

    def similarity(
        self, table: ItemTable, query_row: NDArray[np.int64], item_row: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return for N pairs the cosine of item ids (0/1) and history counts, for STD and RE.

        0 where either side has no id. ``query_row`` must not fall.
        """
        split = table.std_fields
        std, re = table.lengths
        return (
            self._cosine(self.std, table.sparse[:, :split], std, table.width, query_row, item_row),
            self._cosine(self.re, table.sparse[:, split:], re, table.width, query_row, item_row),
        )

    def _cosine(
        self,
        counts: IdCounts,
        ids: NDArray[np.int32],
        sizes: NDArray[np.float32],
        width: int,
        query_row: NDArray[np.int64],
        item_row: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        out = np.zeros(len(query_row), dtype=np.float32)
        if not len(counts.ids) or not len(query_row):
            return out
        total = len(self.length)
        norm = np.sqrt(np.bincount(counts.query, np.square(counts.counts), minlength=total))
        weight = (counts.counts / norm[counts.query]).astype(np.float32)
        width = max(width, int(counts.ids.max()) + 1)
        step = max(1, CHUNK_VALUES // width)
        for start in range(0, total, step):
            block = np.zeros((min(step, total - start), width), dtype=np.float32)
            low, high = np.searchsorted(counts.query, [start, start + step])
            block[counts.query[low:high] - start, counts.ids[low:high]] = weight[low:high]
            first, last = np.searchsorted(query_row, [start, start + step])
            local, items = query_row[first:last] - start, item_row[first:last]
            sums = np.zeros(last - first, dtype=np.float32)
            for slot in range(ids.shape[1]):
                sums += block[local, ids[items, slot]]
            out[first:last] = sums / sizes[items]
        return out


def history_ids(histories: Sequence[Sequence[str]], table: ItemTable, limit: int) -> HistoryIds:
    """Return the id counts of the last ``limit`` items of each history (oldest first)."""
    latest = [history[-limit:] for history in histories]
    length = np.array([len(history) for history in latest], dtype=np.int64)
    other = len(table.ids)
    flat = np.fromiter(
        (table.row_of.get(item, other) for item in chain.from_iterable(latest)),
        np.int64,
        int(length.sum()),
    )
    query = np.repeat(np.arange(len(latest)), length)
    split = table.std_fields
    ids = table.sparse[flat]  # [items of all histories, S + R]
    ends = np.cumsum(length)[:-1] if len(length) else np.zeros(0, np.int64)
    known = [np.unique(rows[rows < other]) for rows in np.split(flat, ends)[: len(length)]]
    return HistoryIds(length, known, _count(query, ids[:, :split]), _count(query, ids[:, split:]))


def _count(query: NDArray[np.int64], ids: NDArray[np.int32]) -> IdCounts:
    row, slot = np.nonzero(ids)
    width = int(ids.max(initial=0)) + 1
    keys, counts = np.unique(query[row] * width + ids[row, slot], return_counts=True)
    return IdCounts(keys // width, keys % width, counts)
