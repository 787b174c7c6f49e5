"""Where the server computes: on the thread of the batches, and in passing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def in_passing(call: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """Return what ``call`` returns, computed on a thread that ends with it.

    OpenMP keeps workers for every thread that has ever multiplied matrices. Once they outnumber the
    cores it lets them sleep between any two steps, and a batch takes a quarter longer for as long
    as that thread lives.
    """
    with ThreadPoolExecutor(1, "passing") as thread:
        return thread.submit(call, *arguments, **named).result()
