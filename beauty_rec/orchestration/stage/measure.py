"""Seconds and peak memory of a step."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import psutil

SAMPLE_EVERY_S = 0.05
CHILDREN_EVERY = 10
"""Samples from one look for children to the next, which reads all processes of the machine."""


@contextmanager
def measure() -> Iterator[dict[str, float]]:
    """Yield a dictionary with ``seconds``, ``processor_seconds`` and ``peak_memory_mb`` at the end.

    The processor's seconds include those of children that have ended; beside other work they say
    more than the clock does. The memory is the resident set of this process and its children,
    sampled.
    """
    process = psutil.Process()
    peak = 0
    done = threading.Event()

    def family() -> list[psutil.Process]:
        return [process, *process.children(recursive=True)]

    def resident(members: list[psutil.Process]) -> int:
        total = 0
        for member in members:
            try:
                total += member.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total

    def watch() -> None:
        nonlocal peak
        for sample in count():
            if sample % CHILDREN_EVERY == 0:
                members = family()
            peak = max(peak, resident(members))
            if done.wait(SAMPLE_EVERY_S):
                break

    cost: dict[str, float] = {}
    watcher = threading.Thread(target=watch, daemon=True)
    started, worked = time.perf_counter(), _worked()
    watcher.start()
    try:
        yield cost
    finally:
        done.set()
        watcher.join()
        cost["seconds"] = round(time.perf_counter() - started, 3)
        cost["processor_seconds"] = round(_worked() - worked, 3)
        cost["peak_memory_mb"] = round(max(peak, resident(family())) / 2**20, 1)


def _worked() -> float:
    """Return the seconds that processors have worked for this process and its ended children."""
    return sum(os.times()[:4])
