"""What is known of users: their events, those of the set and those given since, and profiles."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.recommender.online.feeds.tallies import Tallies
from beauty_rec.recommender.online.names import Names
from beauty_rec.settings import EventType


class Past(NamedTuple):
    """An event of a user: item, rating 1 to 5, when (Unix ms), what was done.

    What it means for an answer is decided in :mod:`beauty_rec.recommender.online.events`.
    """

    parent_asin: str
    rating: float
    time_ms: int
    type: EventType = "rating"


@dataclass(frozen=True)
class People:
    """Users of a set, held compactly: 700,000 events of 632,000 users take 40 MB.

    Attributes:
        users: U of them.
        starts: int64 ``[U + 1]``: ``starts[u]`` to ``starts[u + 1]`` are the events of user u.
        items: int32, row of ``item_ids``; the events are by user, oldest first.
    """

    users: Names
    starts: NDArray[np.int64]
    items: NDArray[np.int32]
    ratings: NDArray[np.float32]
    times: NDArray[np.int64]
    item_ids: list[str]
    profiles: pl.DataFrame
    profile_of: Mapping[str, int]

    @classmethod
    def of(cls, events: pl.DataFrame, profiles: pl.DataFrame) -> "People":
        """Return the people of ``user_events`` and ``user_profiles``."""
        counted = events.group_by("user_id").len().sort("user_id")  # as the events are
        lengths = counted["len"].to_numpy()
        ids = events["parent_asin"].unique().sort()
        code = pl.DataFrame({"parent_asin": ids, "code": np.arange(len(ids), dtype=np.int32)})
        items = events.join(code, on="parent_asin", how="left", maintain_order="left")["code"]
        return cls(
            Names.of(counted["user_id"]),
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            items.to_numpy(),
            events["rating"].to_numpy().astype(np.float32),
            events["timestamp"].to_numpy().astype(np.int64),
            ids.to_list(),
            profiles.drop("user_id"),
            {name: row for row, name in enumerate(profiles["user_id"])},
        )

    def events(self, user_id: str, before_ms: int | None = None) -> list[Past] | None:
        """Return the user's events before a moment, oldest first; None for an unknown user."""
        place = self.users.row(user_id)
        if place is None:
            return None
        start, stop = int(self.starts[place]), int(self.starts[place + 1])
        if before_ms is not None:
            stop = start + int(np.searchsorted(self.times[start:stop], before_ms))
        return [
            Past(self.item_ids[item], rating, time)
            for item, rating, time in zip(
                self.items[start:stop].tolist(),
                self.ratings[start:stop].tolist(),
                self.times[start:stop].tolist(),
                strict=True,
            )
        ]

    @cached_property
    def tallies(self) -> Tallies:
        """Counts over the events, for feeds."""
        return Tallies(self.starts, self.items, self.times, self.item_ids)

    def news(self, since: Mapping[str, Sequence[Past]]) -> Iterator[Past]:
        """Return the events of ``since``, by user, that are none of the set by item and moment.

        What was given while serving is in the set of the next night.
        """
        return self._news.of(since, self.events)

    @cached_property
    def _news(self) -> "News":
        return News()

    def profile(self, user_id: str) -> dict[str, Any]:
        """Return the user's profile, column → value; empty when there is none."""
        row = self.profile_of.get(user_id)
        return {} if row is None else self.profiles.row(row, named=True)


class News:
    """Events that came since, without those that the set holds as well; threads may share it.

    What is found out of a user is kept until the user does something more: who counts all events
    asks again and again. No people are held here: they hold this, and a ring outlives its set.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Sequence[Past], Sequence[Past]]] = {}

    def of(
        self,
        since: Mapping[str, Sequence[Past]],
        events: Callable[[str], Sequence[Past] | None],
    ) -> Iterator[Past]:
        """Return what ``since`` has beyond ``events``, which tells a user's of the set."""
        known, kept = self._kept, dict[str, tuple[Sequence[Past], Sequence[Past]]]()
        for user, past in since.items():
            before = known.get(user)
            if before is None or before[0] is not past:
                before = past, _beyond(events(user), past)
            kept[user] = before
        self._kept = kept  # of nobody who has left meanwhile
        return chain.from_iterable(new for _, new in kept.values())


def together(parts: Sequence[Sequence[Past]]) -> list[Past]:
    """Return events of several sources, each once, oldest first.

    An event is an item, a moment and a kind; of two ratings that of the later source holds: what
    was given while serving is in the next set as well, perhaps rounded, a purchase as a rating.
    """
    given = [part for part in parts if part]
    return list(given[0]) if len(given) == 1 else distinct(chain.from_iterable(given))


def distinct(events: Iterable[Past]) -> list[Past]:
    """Return events, each once as it was told last, oldest first; see :func:`together`."""
    found: dict[tuple[str, int, str], Past] = {}
    for event in events:
        kind = "rating" if event.type == "purchase" else event.type
        found[event.parent_asin, event.time_ms, kind] = event
    return sorted(found.values(), key=lambda event: event.time_ms)


def _beyond(held: Sequence[Past] | None, past: Sequence[Past]) -> Sequence[Past]:
    """Return the events that are not held already, by item and moment."""
    known = {(event.parent_asin, event.time_ms) for event in held or ()}
    if not known:
        return past
    return [event for event in past if (event.parent_asin, event.time_ms) not in known]
