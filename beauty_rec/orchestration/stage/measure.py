"""Seconds and peak memory of a step."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

SAMPLE_EVERY_S = 0.05


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

    def resident() -> int:
        total = 0
        for member in [process, *process.children(recursive=True)]:
            try:
                total += member.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, resident())
            done.wait(SAMPLE_EVERY_S)

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
        cost["peak_memory_mb"] = round(max(peak, resident()) / 2**20, 1)


def _worked() -> float:
    """Return the seconds that processors have worked for this process and its ended children."""
    return sum(os.times()[:4])
