"""The writer of impressions: in the background, in batches, at most a second behind.

An answer hands its impression over and goes on. What waits is bounded: while the database is away
impressions wait, and those that find no room are dropped and counted. After ``kill -9`` of the
server all are there but those of the last second.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from beauty_rec.recommender.online.events import LOOKS
from beauty_rec.serving.state.connection import DatabaseDown
from beauty_rec.serving.state.database import EVENTS_AT_ONCE, Store
from beauty_rec.serving.state.shown.impression import Impression
from beauty_rec.serving.state.shown.tables import (
    INSERT,
    NUMBERS,
    PURGE,
    PURGE_LOOKS,
    SELECT,
    WAIT_LITTLE,
)

LOG = logging.getLogger("beauty_rec.serving")
BEHIND_SECONDS = 0.25
"""Between two writes: a batch of that long is written in a fraction of the second that is left."""
MOST_WAITING = 20_000
MOST_AT_ONCE = 2_000
PURGE_SECONDS = 3_600.0
PURGE_AGAIN_SECONDS = 60.0
"""After one that failed, as where a table is written anew: each holds the store up for a while."""
DAY_MS = 86_400_000


@dataclass
class Written:
    """Impressions since the start: kept, and dropped for want of room."""

    kept: int = 0
    dropped: int = 0


class ImpressionLog:
    """Takes impressions from any thread; :meth:`start` it, and :meth:`close` it before the store.

    Args:
        store: that they are kept in.
        days: after which they are deleted.
        catalogue_items: returns how many items are served now; kept beside each.
        look_days: after which given looks (views, clicks, carts) are deleted; None: never.
    """

    def __init__(
        self,
        store: Store,
        days: int,
        catalogue_items: Callable[[], int],
        look_days: int | None = None,
    ) -> None:
        self._store, self._days, self._catalogue_items = store, days, catalogue_items
        self._look_days = look_days
        self._waiting: OrderedDict[str, Impression] = OrderedDict()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._next_purge = float("-inf")
        self.written = Written()

    def __len__(self) -> int:
        return len(self._waiting)

    def start(self) -> None:
        """Write from now on, on a thread of its own."""
        self._thread = threading.Thread(target=self._work, name="impressions", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what waits, and stop."""
        self._done.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def put(self, impression: Impression) -> None:
        """Hand an impression over; one too many is dropped and counted."""
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                self.written.dropped += 1
            else:
                self._waiting[impression.recommendation_id] = impression

    @contextmanager
    def held(self) -> Iterator[None]:
        """Write nothing while this lasts: what is handed over waits."""
        with self._writing:
            yield

    def forget(self, user_id: str) -> None:
        """Drop what waits of a user; to be called while the log is :meth:`held`."""
        with self._lock:
            for name in [n for n, one in self._waiting.items() if one.user_id == user_id]:
                del self._waiting[name]

    def find(self, ids: Sequence[str]) -> dict[str, Impression]:
        """Return the impressions of these ids that are known, written or not.

        Raises:
            DatabaseDown: those that are written cannot be read.
        """
        with self._lock:
            found = {name: self._waiting[name] for name in ids if name in self._waiting}
        missing = [name for name in dict.fromkeys(ids) if name not in found]
        if missing:
            where = " WHERE recommendation_id = ANY(%s)"
            for row in self._store.read(SELECT + where, [missing]):
                found[row[0]] = Impression(*row[:-1])
        return found

    def _work(self) -> None:
        while not self._done.wait(BEHIND_SECONDS):
            self._tick()
        self._tick()

    def _tick(self) -> None:
        try:
            more = True
            while more:
                with self._writing:
                    more = self._write_some()
            is_due = time.monotonic() >= self._next_purge and self._store.healthy
            if is_due and not self._done.is_set():
                self._next_purge = time.monotonic() + PURGE_AGAIN_SECONDS
                self._purge()
                self._next_purge = time.monotonic() + PURGE_SECONDS
        except DatabaseDown:  # they wait; the store says that it is away
            pass
        except Exception as error:
            LOG.error("impressions", extra={"event": "impressions_failed", "error": repr(error)})

    def _purge(self) -> None:
        now = int(time.time() * 1000)
        cutoff = now - self._days * DAY_MS
        while len(self._store.read(PURGE, [cutoff, MOST_AT_ONCE])) == MOST_AT_ONCE:
            pass
        if self._look_days is not None:
            self._purge_looks(now - self._look_days * DAY_MS)

    def _purge_looks(self, cutoff: int) -> None:
        """Go through the events, which have no index of times, a part at a time."""
        [(first, last)] = self._store.read(NUMBERS)
        for start in range(first or 0, (last or -1) + 1, EVENTS_AT_ONCE):
            if self._done.is_set():
                return
            stop = start + EVENTS_AT_ONCE
            self._store.read(PURGE_LOOKS, [start, stop, list(LOOKS), cutoff])

    def _write_some(self) -> bool:
        """Write the oldest of what waits; return whether more waits."""
        with self._lock:
            batch = list(islice(self._waiting.values(), MOST_AT_ONCE))
        if not batch:
            return False
        items, kept = self._catalogue_items(), len(batch)
        try:
            self._store.change((WAIT_LITTLE, [()]), (INSERT, [(*one, items) for one in batch]))
        except DatabaseDown:
            raise
        except Exception as error:  # no later try would fare better
            LOG.error("impressions", extra={"event": "impressions_failed", "error": repr(error)})
            kept = 0
        with self._lock:
            for one in batch:
                del self._waiting[one.recommendation_id]
            self.written.kept += kept
            self.written.dropped += len(batch) - kept
            return bool(self._waiting)
