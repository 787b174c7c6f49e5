"""Seconds and peak memory of a step."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

SAMPLE_EVERY_S = 0.05


@contextmanager
def measure() -> Iterator[dict[str, float]]:
    """Yield a dictionary that holds ``seconds`` and ``peak_memory_mb`` at the end.

    The memory is the resident set of this process and its children, sampled.
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
    started = time.perf_counter()
    watcher.start()
    try:
        yield cost
    finally:
        done.set()
        watcher.join()
        cost["seconds"] = round(time.perf_counter() - started, 3)
        cost["peak_memory_mb"] = round(max(peak, resident()) / 2**20, 1)
