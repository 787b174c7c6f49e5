"""A variant that answers too and is logged, never shown, off the path of requests.

What it is to answer waits in a short queue; a thread that lives while there is any computes it
between batches, and not while a question waits. Under load the queue is full, and what finds no
room, or no pause, is dropped and counted.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from beauty_rec.recommender.online.experiments.file import place_of
from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.serving.state.experiment.running import Running
from beauty_rec.serving.state.experiment.split_shop import SplitShop
from beauty_rec.serving.state.shown.impression import Impression, impression_of
from beauty_rec.serving.state.threads import in_passing

LOG = logging.getLogger("beauty_rec.serving")
MOST_WAITING = 16
PATIENCE_SECONDS = 1.0
"""For a pause between batches; then an answer is dropped."""
PAUSE_SECONDS = 0.005
TOP = 10


class _Asked(NamedTuple):
    request: RecommendRequest
    shown: Impression
    running: Running


@dataclass
class Shadowed:
    """Since the experiment was first seen: answers, those dropped or failed, and sums over them."""

    experiment: str = ""
    answered: int = 0
    dropped: int = 0
    failed: int = 0
    overlap: float = 0.0
    seconds: float = 0.0


class ShadowLane:
    """Lets the shadow of an experiment answer.

    Args:
        engine: whose experiment it is.
        keep: takes what it answered, as an impression.
        is_busy: whether questions are being computed.
    """

    def __init__(
        self,
        engine: SplitShop,
        keep: Callable[[Impression], None],
        is_busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._engine, self._keep, self._is_busy = engine, keep, is_busy
        self._waiting: deque[_Asked] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._gone: set[str | None] = set()
        self._closing = False
        self.counts = Shadowed()

    def put(self, request: RecommendRequest, shown: Impression) -> None:
        """Have the shadow answer what was answered, if there is one and it is its turn."""
        running = self._engine.experiments.running
        if running is None or running.shadow is None or running.experiment.shadow is None:
            return
        name = running.experiment.name
        if place_of(f"{name} shadow", shown.recommendation_id) >= running.experiment.shadow.share:
            return
        with self._lock:
            if self.counts.experiment != name:
                self.counts = Shadowed(name)
            if len(self._waiting) >= MOST_WAITING or self._closing:
                self.counts.dropped += 1
                return
            self._waiting.append(_Asked(request, shown, running))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
                self._thread.start()

    def forget(self, user_id: str) -> None:
        """Drop what waits of a user; nothing of it is kept after this."""
        with self._lock:
            left = [asked for asked in self._waiting if asked.shown.user_id != user_id]
            self._waiting = deque(left)
            if self._thread is not None:
                self._gone.add(user_id)

    def close(self) -> None:
        """Answer no more."""
        with self._lock:
            self._closing = True
            self._waiting.clear()
            thread = self._thread
        if thread is not None:
            thread.join(timeout=10)

    def report(self, name: str, part: str, of_set: str) -> dict[str, Any]:
        """Return what became of a shadow, for ``/v1/experiment``."""
        counts = self.counts if self.counts.experiment == name else Shadowed()
        n = counts.answered
        return {
            "name": part,
            "set": of_set,
            "answered": n,
            "dropped": counts.dropped,
            "failed": counts.failed,
            "overlap_at_10": counts.overlap / n if n else None,
            "seconds": counts.seconds / n if n else None,
        }

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    self._gone.clear()
                    return
                asked = self._waiting.popleft()
            try:
                self._answer(asked)
            except Exception as error:  # of a shadow nobody waits for an answer
                with self._lock:
                    self.counts.failed += 1
                LOG.error("shadow", extra={"event": "shadow_failed", "error": repr(error)})

    def _answer(self, asked: _Asked) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._is_busy():
            if time.monotonic() > deadline or self._closing:
                with self._lock:
                    self.counts.dropped += 1
                return
            time.sleep(PAUSE_SECONDS)
        arm, began = asked.running.shadow, time.monotonic()
        assert arm is not None
        [answer] = in_passing(self._engine.recommend_as, arm, [asked.request])
        took = time.monotonic() - began
        named = {"experiment": asked.running.experiment.name, "variant": arm.name}
        found = impression_of(answer | named, "shadow", asked.shown.user_id)
        top = asked.shown.items[:TOP]
        overlap = len({*top} & {*found.items[:TOP]}) / max(1, len(top))
        with self._lock:
            self.counts.answered += 1
            self.counts.overlap += overlap
            self.counts.seconds += took
            if asked.shown.user_id not in self._gone or asked.shown.user_id is None:
                self._keep(found._replace(shadow_of=asked.shown.recommendation_id))
