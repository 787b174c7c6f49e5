"""Candidates by the user tower: past, occasion and profile in the space of the items."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.space import ItemSpace
from beauty_rec.towers.users.item_matrix import ItemMatrix
from beauty_rec.towers.users.served import ServedUserTower


@dataclass(frozen=True)
class UserTowerSource:
    """Answers every ask; who is not known is asked for as anybody."""

    tower: ServedUserTower
    name: ClassVar[str] = "user_tower"
    reads_text: ClassVar[bool] = False
    signed: ClassVar[bool] = True

    def vectors(self, asks: Asks, space: ItemSpace) -> NDArray[np.float32]:
        """Return float32 ``[Q, W]``; the columns that the tower does not read are 0."""
        past = asks.requests.items
        rows = np.unique(past.numpy())
        rows = rows[rows >= 0]
        # The tower looks up the rows of the past alone: give it those, not the whole matrix.
        items = self.tower.items
        width = items.tower + items.statistics + items.text
        local = space.vectors(rows, slice(width)) if len(rows) else np.zeros((1, width), np.float32)
        names = [space.ids[row] for row in rows] if len(rows) else [""]
        near = replace(
            self.tower,
            items=ItemMatrix(
                Vectors(names, local), items.tower, items.statistics, items.text, items.as_of_ms
            ),
        )
        places = np.searchsorted(rows, past.numpy())
        known = past.numpy() >= 0
        requests = replace(asks.requests, items=past.new_tensor(np.where(known, places, -1)))
        found = near.user_vectors(requests)
        return np.pad(found, ((0, 0), (0, space.width - found.shape[1])))

    def silent(self, space: ItemSpace) -> NDArray[np.bool_] | None:
        """Return None: it knows all items."""
        return None
