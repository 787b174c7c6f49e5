"""Requests that wait are computed together: one pass over the items, one call of each model.

A lone request is computed at once; nobody waits for company.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Overloaded(RuntimeError):
    """More requests wait than may."""


class Batcher(Generic[Q, A]):
    """Hands questions from the event loop to one computing thread, in batches.

    Args:
        compute: called on that thread with 1 to ``most`` questions; returns as many answers.
        most: questions of a batch.
        waiting: questions that may wait.
    """

    def __init__(
        self, compute: Callable[[Sequence[Q]], Sequence[A]], most: int, waiting: int
    ) -> None:
        self._compute, self._most = compute, most
        self._queue: queue.Queue[tuple[Q, asyncio.Future[A]] | None] = queue.Queue(waiting)
        self._thread = threading.Thread(target=self._work, name="batches", daemon=True)
        self._thread.start()

    async def ask(self, question: Q) -> A:
        """Return the answer.

        Raises:
            Overloaded: too many wait already.
        """
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((question, future))
        except queue.Full:
            raise Overloaded from None
        return await future

    def close(self) -> None:
        """Stop after what waits now."""
        self._queue.put(None)
        self._thread.join(timeout=30)

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            last = False
            while len(batch) < self._most and not last:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    last = True
                else:
                    batch.append(more)
            # Who has given up, at its time-out, is not computed for.
            batch = [(q, f) for q, f in batch if not f.cancelled()]
            self._answer(batch)
            if last:
                return

    def _answer(self, batch: Sequence[tuple[Q, "asyncio.Future[A]"]]) -> None:
        if not batch:
            return
        loop = batch[0][1].get_loop()
        try:
            answers = self._compute([question for question, _ in batch])
        except Exception as error:
            if len(batch) > 1:  # one bad question must not spoil the others' answers
                for one in batch:
                    self._answer([one])
                return
            loop.call_soon_threadsafe(_settle, batch[0][1], None, error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            loop.call_soon_threadsafe(_settle, future, answer, None)


def _settle(future: "asyncio.Future[A]", answer: A | None, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(answer)  # type: ignore[arg-type]
