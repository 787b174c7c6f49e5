"""What the user tower's recipe reads."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.events.arrays import Events, read_events


@dataclass(frozen=True)
class UserTowerData:
    """What the recipe reads.

    Attributes:
        events: all events; a history may reach into the held-out part, nothing else does.
        train: int64, rows of the training events, in time order.
        valid: int64, rows of the events for early stopping; empty: all epochs are run.
        item_vectors: frozen, ``[N, D]``; their ids are the events' item ids. With
            ``item_tower.event_values`` they hold what train events say: a training event then
            reads in them what is going to sell.
        context_vectors: L2-normalised vectors of the context texts, by text.
        profiles: `user_profiles`.
        text_vectors: of the items, in the contexts' space; or ``None``.
    """

    events: Events
    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    item_vectors: Vectors
    context_vectors: Vectors
    profiles: pl.DataFrame
    text_vectors: Vectors | None = None


def user_tower_data(
    split_reviews: pl.DataFrame,
    item_vectors: Vectors,
    context_vectors: Vectors,
    profiles: pl.DataFrame,
    text_vectors: Vectors | None = None,
    train_until_ms: int | None = None,
    events: Events | None = None,
) -> UserTowerData:
    """Return the data of a training on the train split.

    ``events`` are those of ``split_reviews``, where they have been read before.

    With ``train_until_ms`` only train events before it are learned from, and there is no early
    stopping: such a tower makes out-of-fold candidates for the train events from then on.
    """
    events = read_events(split_reviews, item_vectors.ids) if events is None else events
    split = split_reviews["split"].to_numpy()
    train = np.flatnonzero(split == "train")
    valid = np.flatnonzero(split == "valid")
    if train_until_ms is not None:
        train = train[events.time_ms[train] < train_until_ms]
        valid = valid[:0]
    train = train[np.argsort(events.time_ms[train], kind="stable")]
    return UserTowerData(
        events,
        train,
        valid,
        item_vectors,
        context_vectors,
        profiles,
        text_vectors,
    )
