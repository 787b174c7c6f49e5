"""A thread that a refresh runs on, so that an interrupt ends it at once.

Dagster delays interrupts, takes one inside a step for a failed step, and tries it again where the
step may be tried again. It does so on the main thread alone. So the refresh runs on another one,
and the main thread waits, free to be interrupted.
"""

import ctypes
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

import dagster as dg

from beauty_rec.orchestration.dagster_internals import ask_executor_to_stop
from beauty_rec.orchestration.refresh.dead_runs import IN_PROGRESS

P = ParamSpec("P")
T = TypeVar("T")
UNWIND_SECONDS = 3.0
"""For a step to unwind; one that is inside a long call into C is left computing."""
EXECUTOR_SECONDS = 10.0
"""For an executor to end the processes, or the pods, of its steps."""


class Stopped(BaseException):
    """Raised inside a step that is interrupted; no ``Exception``, so that nothing handles it."""


class Worker:
    """Calls functions on one thread of its own; use it as a context.

    Args:
        instance: where the runs are recorded.
        tags: of the runs that the calls start; those in progress are cancelled by an interrupt.
    """

    def __init__(self, instance: dg.DagsterInstance, tags: dict[str, str]) -> None:
        self._instance, self._tags = instance, tags
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="refresh", daemon=True)

    def __enter__(self) -> "Worker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._calls.put(None)

    def call(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Return what ``function`` returns.

        Raises:
            BaseException: of the function, or what interrupted this thread: then the function has
                been stopped, or will never be waited for again, and its run is cancelled.
        """
        future: Future[T] = Future()
        self._calls.put((future, lambda: function(*arguments, **named)))
        try:
            return future.result()
        except BaseException:
            if not future.done():
                self._stop(future)
            raise

    def each(self, results: Iterator[T]) -> Iterator[T]:
        """Yield from a generator that runs on the thread."""
        nothing = object()
        while (result := self.call(next, results, nothing)) is not nothing:
            yield result  # type: ignore[misc]

    def _stop(self, future: "Future[Any]") -> None:
        for run in self._runs():
            self._instance.report_run_canceling(run)
        if ask_executor_to_stop():
            wait([future], EXECUTOR_SECONDS)
        else:
            _raise_in(self._thread)
            wait([future], UNWIND_SECONDS)
        for run in self._runs():
            self._instance.report_run_canceled(run)
            self._instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)

    def _runs(self) -> list[dg.DagsterRun]:
        return list(self._instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS, tags=self._tags)))

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function = call
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)


def _raise_in(thread: threading.Thread) -> None:
    """Raise :class:`Stopped` in a thread, at its next step of Python."""
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(Stopped)
        )
