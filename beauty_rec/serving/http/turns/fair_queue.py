"""A queue in which every client gets its share: weighted fair queueing.

Each entry is stamped with the moment, on a clock of work and not of time, at which it would be done
if its client had a machine of its own; the earliest stamp goes first. Demers, Keshav and Shenker
1989, https://doi.org/10.1145/75246.75248, with the clock of Golestani 1994,
https://doi.org/10.1109/INFCOM.1994.337677.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Entry(Generic[T]):
    """What waits.

    Attributes:
        cost: how much work it is.
        done_at: its stamp on the clock of work.
    """

    client: str
    cost: float
    value: T
    done_at: float


class FairQueue(Generic[T]):
    """Entries by client. Not safe for threads."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Entry[T]]] = {}
        self._done_at: dict[str, float] = {}
        self._clock = 0.0

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def put(self, client: str, cost: float, value: T) -> Entry[T]:
        """Add and return an entry."""
        done_at = max(self._clock, self._done_at.get(client, 0.0)) + cost
        entry = Entry(client, cost, value, done_at)
        self._done_at[client] = done_at
        self._waiting.setdefault(client, []).append(entry)
        return entry

    def first(self) -> Entry[T] | None:
        """Return the entry whose turn it is; None where nothing waits."""
        heads = (entries[0] for entries in self._waiting.values())
        return min(heads, key=lambda entry: entry.done_at, default=None)

    def take(self, most: int, work: float) -> Iterator[Entry[T]]:
        """Take up to ``most`` entries in turn, of ``work`` together unless the first has more."""
        taken = 0
        while taken < most and (entry := self.first()) is not None:
            if taken and entry.cost > work:
                return
            self.remove(entry)
            self._clock = max(self._clock, entry.done_at)
            taken, work = taken + 1, work - entry.cost
            yield entry
        # Whose work is done by now has neither debt nor credit.
        self._done_at = {c: at for c, at in self._done_at.items() if at > self._clock}

    def remove(self, entry: Entry[T]) -> None:
        """Take an entry out, if it is still there."""
        entries = self._waiting.get(entry.client, [])
        if entry in entries:
            entries.remove(entry)
            if not entries:
                del self._waiting[entry.client]

    def last_of_the_most(self, client: str) -> Entry[T] | None:
        """Return the last entry of who has most waiting; None where that is ``client``."""
        counts = Counter({name: len(entries) for name, entries in self._waiting.items()})
        counts[client] += 1
        greedy = max(counts, key=lambda name: (counts[name], name == client))
        return None if greedy == client else self._waiting[greedy][-1]
