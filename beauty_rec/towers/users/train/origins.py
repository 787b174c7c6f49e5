"""Origins: moments in train from which the user tower learns to look ahead.

At each one the item statistics are those of the events before it; what is foreseen are the
events of a window after it (rolling-origin evaluation, Tashman 2000, turned into training).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beauty_rec.settings import UserTowerSettings
from beauty_rec.towers.row_file import RowFile
from beauty_rec.towers.users.inputs import Knowledge
from beauty_rec.towers.users.statistics import StatisticsSpec


@dataclass(frozen=True)
class Origin:
    """One of them.

    Attributes:
        as_of_ms: the moment.
        rows: int64, the events of its window.
        vectors: float32 ``[N, D]``, frozen; one array for all origins.
        statistics: float32 ``[N, E]``, at that moment.
        share: float32 ``[N]``, of each item among the window's events.
    """

    as_of_ms: int
    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]
    statistics: RowFile
    share: Tensor

    def matrix(self, items: NDArray[np.int64]) -> Tensor:
        """Return ``[len(items), D + E]``, the columns of some items."""
        blocks = [self.vectors[items], self.statistics.take(items)]
        return torch.from_numpy(np.concatenate(blocks, axis=1))


def make_origins(
    train: NDArray[np.int64],
    known: Knowledge,
    spec: StatisticsSpec,
    vectors: NDArray[np.float32],
    settings: UserTowerSettings,
    scratch: Path | None = None,
) -> list[Origin]:
    """Return the origins, the latest first; none of them has an empty window.

    Args:
        train: int64, rows of the training events in time order, their items known.
        known: what requests are made from.
        spec: the statistics' columns.
        vectors: of the item tower, frozen, float32 ``[N, D]``.
        settings: ``origins``, ``origin_step``, ``horizon``: shares of the training events, so
            that sparse and dense years count alike.
        scratch: folder on whose disk the statistics lie; None: that of temporary files.
    """
    events, time = known.events, known.events.time_ms[train]
    origins: list[Origin] = []
    for number in range(1, settings.origins + 1):
        first = int(len(train) * (1 - number * settings.origin_step))
        if first < 0 or (first == 0 and origins):
            break
        as_of_ms = int(time[first])
        first = int(np.searchsorted(time, as_of_ms))  # equal times belong to the window
        rows = train[first : first + max(1, int(len(train) * settings.horizon))]
        if origins and as_of_ms == origins[-1].as_of_ms:
            continue
        statistics = spec.at(events, train, known.people, as_of_ms)
        kept = RowFile(statistics.shape, np.float32, scratch)
        kept.put(slice(None), statistics)
        count = np.bincount(events.item[rows], minlength=len(vectors))
        origins.append(
            Origin(
                as_of_ms,
                rows,
                vectors,
                kept,
                torch.from_numpy((count / len(rows)).astype(np.float32)),
            )
        )
    return origins
