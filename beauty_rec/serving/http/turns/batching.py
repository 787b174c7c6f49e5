"""Requests that wait are computed together: one pass over the items, one call of each model.

A lone request is computed at once; nobody waits for company. Clients take turns, and a question of
many times the usual size has a lane of its own, so that nobody stands behind it.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from beauty_rec.serving.http.turns.fair_queue import Entry, FairQueue

Q = TypeVar("Q")
A = TypeVar("A")
Asked = tuple[Q, "asyncio.Future[A]"]

LIGHT = 4.0
"""Cost up to which a question is computed with others; beside others' it is a batch's, too."""
COMPANY_S = 10.0
"""How long a client counts as being here after its last question."""


class Overloaded(RuntimeError):
    """More requests wait than may."""


class Batcher(Generic[Q, A]):
    """Hands questions from the event loop to computing threads, in batches.

    Args:
        compute: called with 1 to ``most`` questions; returns as many answers, an exception standing
            for a question that has none. Two threads call it at most: one for light questions, and
            one for the others, which lives while there are any.
        most: questions of a batch.
        waiting: questions of either kind that may wait.
    """

    def __init__(
        self, compute: Callable[[Sequence[Q]], Sequence[A | Exception]], most: int, waiting: int
    ) -> None:
        self._light = _Lane(compute, most, waiting, stays=True)
        self._heavy = _Lane(compute, 1, waiting, stays=False)

    async def ask(self, question: Q, client: str = "", cost: float = 1.0) -> A:
        """Return the answer.

        Args:
            question: what ``compute`` takes.
            client: who asks; clients share the server evenly.
            cost: 1 for an ordinary question.

        Raises:
            Overloaded: too many wait already, this client's more than any other's.
        """
        lane = self._light if cost <= LIGHT else self._heavy
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        entry = lane.put(client, cost, (question, future))
        try:
            return await future
        finally:
            if future.cancelled():  # who has given up is not computed for
                lane.remove(entry)

    def close(self) -> None:
        """Stop after what waits now."""
        for lane in (self._light, self._heavy):
            lane.close()


class _Lane(Generic[Q, A]):
    """A queue and the thread that computes what waits in it."""

    def __init__(
        self,
        compute: Callable[[Sequence[Q]], Sequence[A | Exception]],
        most: int,
        waiting: int,
        *,
        stays: bool,
    ) -> None:
        self._compute, self._most, self._waiting, self._stays = compute, most, waiting, stays
        self._queue: FairQueue[Asked[Q, A]] = FairQueue()
        self._seen: dict[str, float] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None

    def put(self, client: str, cost: float, asked: "Asked[Q, A]") -> "Entry[Asked[Q, A]]":
        with self._changed:
            if len(self._queue) >= self._waiting:
                greedy = self._queue.last_of_the_most(client)
                if greedy is None:
                    raise Overloaded
                self._queue.remove(greedy)
                _settle(greedy.value[1], Overloaded())
            self._seen[client] = time.monotonic()
            entry = self._queue.put(client, cost, asked)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="batches", daemon=True)
                self._thread.start()
            self._changed.notify()
            return entry

    def remove(self, entry: "Entry[Asked[Q, A]]") -> None:
        with self._changed:
            self._queue.remove(entry)

    def close(self) -> None:
        with self._changed:
            self._closing = True
            thread = self._thread
            self._changed.notify()
        if thread is not None:
            thread.join(timeout=30)

    def _work(self) -> None:
        while batch := self._next():
            self._answer(batch)

    def _next(self) -> "list[Asked[Q, A]]":
        """Wait for a batch and return it; an empty one is the end of the thread."""
        with self._changed:
            while not len(self._queue):
                if self._closing or not self._stays:
                    self._thread = None
                    return []
                self._changed.wait()
            # A long batch of one client is time that another one waits.
            since = time.monotonic() - COMPANY_S
            self._seen = {client: at for client, at in self._seen.items() if at > since}
            work = LIGHT if len(self._seen) > 1 else float("inf")
            return [entry.value for entry in self._queue.take(self._most, work)]

    def _answer(self, batch: "Sequence[Asked[Q, A]]") -> None:
        loop = batch[0][1].get_loop()
        try:
            answers = self._compute([question for question, _ in batch])
        except Exception as error:
            if len(batch) > 1:  # one bad question must not spoil the others' answers
                for one in batch:
                    self._answer([one])
                return
            answers = [error]
        for (_, future), answer in zip(batch, answers, strict=True):
            loop.call_soon_threadsafe(_settle, future, answer)


def _settle(future: "asyncio.Future[A]", answer: A | Exception) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
