"""Counts of who took what and when, over the events of a set and of what came since."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from beauty_rec.events.arrays import DAY_MS
from beauty_rec.towers.users.statistics import decay

RECENT_DAYS = 7.0
"""Half-life of an event in what is sold of late."""
USUAL_DAYS = 90.0
"""Half-life of an event in what is usual."""
PRESENT_EVENTS = 20
"""The latest events that make the present: fewer are no reason to call all before them long ago."""
PRIOR_USERS = 5.0
"""Users who are thought to take any two items together besides, and by chance."""


@dataclass(frozen=True)
class Trends:
    """What items sell of late beside what is usual for them.

    Attributes:
        names: of the items.
        recent: float64, decayed events.
        usual: float64, what ``recent`` would be at the rate of the last months.
    """

    names: list[str]
    recent: NDArray[np.float64]
    usual: NDArray[np.float64]

    @property
    def excess(self) -> NDArray[np.float64]:
        """How far what is sold lies above what is usual, in standard deviations of a count."""
        above = self.recent - self.usual
        return (above / np.sqrt(self.usual + 1)).astype(np.float64)


@dataclass(frozen=True)
class Together:
    """Items that an item's buyers took as well.

    Attributes:
        names: of the items.
        users: int64, who took both.
        takers: int64, who took each of them.
        own: who took the item itself.
        everybody: users in all.
    """

    names: list[str]
    users: NDArray[np.int64]
    takers: NDArray[np.int64]
    own: int
    everybody: int

    @property
    def by_chance(self) -> NDArray[np.float64]:
        """Users who would take both if one had nothing to do with the other."""
        share = self.own / max(self.everybody, 1)
        found: NDArray[np.float64] = self.takers.astype(np.float64) * share
        return found

    @property
    def lift(self) -> NDArray[np.float64]:
        """How many times more users take both than by chance."""
        found: NDArray[np.float64] = self.users / np.maximum(self.by_chance, 1e-12)
        return found

    @property
    def score(self) -> NDArray[np.float64]:
        """The lift, shrunk: what a single user did must not outweigh what a hundred do."""
        found: NDArray[np.float64] = self.users / (self.by_chance + PRIOR_USERS)
        return found


@dataclass(frozen=True)
class Tallies:
    """Counts over a set's events; made once for a set.

    Attributes:
        starts: int64 ``[U + 1]``: ``starts[u]`` to ``starts[u + 1]`` are the events of user u.
        items: int32, row of ``names`` of each event.
        times: int64, Unix ms.
        names: of the items.
    """

    starts: NDArray[np.int64]
    items: NDArray[np.int32]
    times: NDArray[np.int64]
    names: list[str]
    _sold: dict[float, NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False)

    def trends(self, since: Iterable[tuple[str, int]]) -> Trends:
        """Return the trends as of the 20th latest event that is known; later ones count in full.

        As of the very latest, one event that comes long after all others would be all that is sold
        of late, and nothing else would trend.

        Args:
            since: item and Unix ms of events that are none of the set's.
        """
        codes, times = self.items[self._latest].tolist(), self.times[self._latest].tolist()
        added: dict[str, int] = {}
        for name, time in since:
            code = self._code_of.get(name)
            if code is None:
                code = added.setdefault(name, len(self.names) + len(added))
            codes.append(code)
            times.append(time)
        names = [*self.names, *added] if added else self.names
        late, own = np.array(times, np.int64), np.array(codes, np.int64)
        present = _present(late)
        age = np.maximum(present - late, 0) / DAY_MS
        passed = np.array([max(present - self._present, 0) / DAY_MS])

        def counted(before: NDArray[np.float64], half_life: float) -> NDArray[np.float64]:
            faded = np.append(before * decay(passed, half_life), np.zeros(len(added)))
            return faded + np.bincount(own, decay(age, half_life) * _rate(half_life), len(names))

        recent, usual = counted(self._recent, RECENT_DAYS), counted(self._usual, USUAL_DAYS)
        return Trends(names, recent, usual)

    def sold(self, half_life_days: float) -> NDArray[np.float64]:
        """Return the decayed events of each item, as of the 20th latest event."""
        if half_life_days not in self._sold:
            age = np.maximum(self._present - self.times, 0) / DAY_MS
            sold = np.bincount(self.items, decay(age, half_life_days), len(self.names))
            self._sold[half_life_days] = sold.astype(np.float64)
        return self._sold[half_life_days]

    @cached_property
    def first_ms(self) -> NDArray[np.int64]:
        """Unix ms of each item's first event."""
        first = np.full(len(self.names), np.iinfo(np.int64).max)
        np.minimum.at(first, self.items, self.times)
        return first

    def together(self, name: str) -> Together:
        """Return what the buyers of an item took as well."""
        everybody = len(self.starts) - 1
        number = self._code_of.get(name)
        if number is None:
            none = np.zeros(0, np.int64)
            return Together([], none, none, 0, everybody)
        start, stop = np.searchsorted(self._pairs[0], [number, number + 1])
        users = self._pairs[1][start:stop]
        first, last = self.starts[users], self.starts[users + 1]
        count = last - first
        places = np.arange(int(count.sum())) + np.repeat(first - np.cumsum(count) + count, count)
        whose = np.repeat(np.arange(len(users)), count)
        pairs = np.unique(whose * len(self.names) + self.items[places])
        codes, both = np.unique(pairs % len(self.names), return_counts=True)
        kept = codes != number
        codes, both = codes[kept], both[kept].astype(np.int64)
        names = [self.names[code] for code in codes.tolist()]
        return Together(names, both, self._takers[codes], len(users), everybody)

    @cached_property
    def _code_of(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names)}

    @cached_property
    def _pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Items (codes) and their users, each pair once, by item."""
        everybody = len(self.starts) - 1
        users = np.repeat(np.arange(everybody), np.diff(self.starts))
        size = max(everybody, 1)
        pairs = np.unique(self.items.astype(np.int64) * size + users)
        return pairs // size, pairs % size

    @cached_property
    def _takers(self) -> NDArray[np.int64]:
        return np.bincount(self._pairs[0], minlength=len(self.names)).astype(np.int64)

    @cached_property
    def _latest(self) -> NDArray[np.int64]:
        """Which events are the latest 20."""
        first = max(len(self.times) - PRESENT_EVENTS, 0)
        return np.argpartition(self.times, first)[first:] if first else np.arange(len(self.times))

    @cached_property
    def _present(self) -> int:
        return _present(self.times[self._latest])

    @cached_property
    def _recent(self) -> NDArray[np.float64]:
        return self._faded(RECENT_DAYS)

    @cached_property
    def _usual(self) -> NDArray[np.float64]:
        return self._faded(USUAL_DAYS)

    def _faded(self, half_life: float) -> NDArray[np.float64]:
        """Return the decayed counts of all events before the latest."""
        weights = decay((self._present - self.times) / DAY_MS, half_life) * _rate(half_life)
        weights[self._latest] = 0
        return np.bincount(self.items, weights, len(self.names)).astype(np.float64)


def _present(times: NDArray[np.int64]) -> int:
    """Return the moment, Unix ms, of the 20th latest event; of the first where there are fewer."""
    if not len(times):
        return 0
    place = max(len(times) - PRESENT_EVENTS, 0)
    return int(np.partition(times, place)[place])


def _rate(half_life: float) -> float:
    """Return what brings counts of a half-life to the scale of recent ones."""
    return RECENT_DAYS / half_life
