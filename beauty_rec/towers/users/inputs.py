"""What the user tower is asked with: the same arrays from events in training and in serving."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beauty_rec.events.arrays import DAY_MS, Events
from beauty_rec.towers.users.profiles import ProfileEncoder
from beauty_rec.towers.users.statistics import MONTHS, YEAR_DAYS, month_of

MOMENT_WIDTH = MONTHS + 4 + 2
"""Month, two harmonics of the year, and two forms of the age of the statistics."""


@dataclass(frozen=True)
class Requests:
    """``B`` requests. A missing history, context or profile is marked, and its values are 0.

    Attributes:
        items: int64 ``[B, L]``, rows of the item matrix, oldest first, at the end of the row; -1
            is an unknown item, and fills the left-over places in front.
        ratings: float32 ``[B, L]``, 1 to 5.
        age_days: float32 ``[B, L]``, from the past event to the request.
        context: float32 ``[B, T]``, the text encoder's vector.
        has_context: bool ``[B]``.
        profile: float32 ``[B, P]``.
        has_profile: bool ``[B]``.
        moment: float32 ``[B, MOMENT_WIDTH]``, when the request is made; always known.
    """

    items: Tensor
    ratings: Tensor
    age_days: Tensor
    context: Tensor
    has_context: Tensor
    profile: Tensor
    has_profile: Tensor
    moment: Tensor

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, part: slice) -> "Requests":
        return Requests(**{field.name: getattr(self, field.name)[part] for field in fields(self)})

    def to(self, device: torch.device) -> "Requests":
        """Return the same requests on a device."""
        return Requests(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def of_own_items(self) -> tuple[NDArray[np.int64], "Requests"]:
        """Return the items that the histories hold, and the requests by their places in these.

        So a few rows of the item matrix will do. There is one row at least.
        """
        known = self.items >= 0
        items, place = torch.unique(self.items[known], return_inverse=True)
        moved = torch.full_like(self.items, -1)
        moved[known] = place
        rows = items.numpy() if len(items) else np.zeros(1, np.int64)
        return rows, replace(self, items=moved)

    def with_contexts(self, vectors: NDArray[np.float32]) -> "Requests":
        """Return the same requests with these contexts, float32 ``[B, T]``; zeros for none."""
        return replace(
            self,
            context=torch.from_numpy(np.asarray(vectors, np.float32)),
            has_context=torch.from_numpy(vectors.any(axis=1)),
        )

    @property
    def has_history(self) -> Tensor:
        """bool ``[B]``."""
        return (self.items >= 0).any(dim=1)

    @property
    def nothing_known(self) -> Tensor:
        """bool ``[B]``: no history, no context, no profile."""
        return ~(self.has_history | self.has_context | self.has_profile)


@dataclass(frozen=True)
class Knowledge:
    """What requests are made from, for all events.

    Attributes:
        events: the events.
        contexts: float32 ``[len(events.contexts), T]``, vector of each context text; a row of
            zeros is a text that nobody encoded, and is treated as no context.
        people: float32 ``[len(events.users), P]``, encoded profiles.
        has_profile: bool ``[len(events.users)]``.
        max_history: L at most.
    """

    events: Events
    contexts: NDArray[np.float32]
    people: NDArray[np.float32]
    has_profile: NDArray[np.bool_]
    max_history: int

    def requests(self, rows: NDArray[np.int64], as_of_ms: int) -> Requests:
        """Return the requests of the events ``rows``, for statistics taken at ``as_of_ms``."""
        events, history = self.events, self.events.histories(rows, self.max_history)
        inside = history >= 0
        items = np.where(inside, events.item[history], -1)
        age = (events.time_ms[rows][:, None] - events.time_ms[history]) / DAY_MS
        context, user = events.context[rows], events.user[rows]
        vectors = np.zeros((len(rows), self.contexts.shape[1]), np.float32)
        vectors[context >= 0] = self.contexts[context[context >= 0]]
        has_context = vectors.any(axis=1)
        return Requests(
            items=torch.from_numpy(items),
            ratings=torch.from_numpy(np.where(inside, events.rating[history], 0).astype("f4")),
            age_days=torch.from_numpy(np.where(inside, age, 0).astype(np.float32)),
            context=torch.from_numpy(vectors),
            has_context=torch.from_numpy(has_context),
            profile=torch.from_numpy(self.people[user]),
            has_profile=torch.from_numpy(self.has_profile[user]),
            moment=torch.from_numpy(moment(events.time_ms[rows], as_of_ms)),
        )


def moment(time_ms: NDArray[np.int64], as_of_ms: int) -> NDArray[np.float32]:
    """Return float32 ``[n, MOMENT_WIDTH]``: the season, and how old the statistics then are."""
    year = 2 * np.pi * (time_ms / DAY_MS / YEAR_DAYS % 1)
    waves = [wave(k * year) for k in (1, 2) for wave in (np.cos, np.sin)]
    days = np.clip((time_ms - as_of_ms) / DAY_MS, 0, 730)
    ages = [np.log1p(days) / 4, days / 100]
    month = np.eye(MONTHS)[month_of(time_ms)]
    return np.concatenate([month, np.stack(waves + ages, axis=1)], axis=1).astype(np.float32)


def plain_requests(
    histories: Sequence[Sequence[tuple[int, float, float]]],
    contexts: Sequence[NDArray[np.float32] | None],
    profiles: Sequence[Mapping[str, Any]],
    encoder: ProfileEncoder,
    times_ms: Sequence[int],
    as_of_ms: int,
    context_width: int,
) -> Requests:
    """Return ``B`` requests from plain values, for serving.

    Args:
        histories: (item row, rating, age in days) of each, oldest first; rows of -1 are unknown
            items.
        contexts: float32 ``[T]`` of each, or ``None``.
        profiles: column → value of each; unknown columns are ignored.
        encoder: the tower's own.
        times_ms: of each.
        as_of_ms: the tower's own.
        context_width: T.
    """
    pasts = [[event for event in history if event[0] >= 0] for history in histories]
    lengths = np.array([len(past) for past in pasts], np.int64)
    width = int(lengths.max(initial=0))
    events = np.zeros((len(pasts), width, 3))
    inside = np.arange(width) >= width - lengths[:, None]
    events[:, :, 0] = -1
    if width:
        events[inside] = [event for past in pasts for event in past]
    vectors = np.zeros((len(pasts), context_width), np.float32)
    for row, context in enumerate(contexts):
        if context is not None:
            vectors[row] = context
    people = encoder.encode_plain(profiles)
    return Requests(
        items=torch.from_numpy(events[:, :, 0].astype(np.int64)),
        ratings=torch.from_numpy(events[:, :, 1].astype(np.float32)),
        age_days=torch.from_numpy(events[:, :, 2].astype(np.float32)),
        context=torch.from_numpy(vectors),
        has_context=torch.tensor([context is not None for context in contexts], dtype=torch.bool),
        profile=torch.from_numpy(people),
        has_profile=torch.from_numpy(encoder.known(people)),
        moment=torch.from_numpy(moment(np.array(times_ms, np.int64), as_of_ms)),
    )
