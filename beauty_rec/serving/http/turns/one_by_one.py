"""What a shop can only do one after the other: it waits beside the threads that all routes share.

:func:`asyncio.to_thread` has few threads, and a call that waits for another one holds one of them.
"""

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

R = TypeVar("R")


class OneByOne:
    """Calls on behalf of owners, of each on a thread of its own. To be used on one event loop."""

    def __init__(self) -> None:
        self._threads: dict[Hashable, ThreadPoolExecutor] = {}

    async def call(self, owner: Hashable, function: Callable[..., R], *arguments: object) -> R:
        """Return what a function returns; who gives up before its turn is not waited for."""
        if owner not in self._threads:
            self._threads[owner] = ThreadPoolExecutor(1, "one by one")
        loop, context = asyncio.get_running_loop(), copy_context()
        return await loop.run_in_executor(
            self._threads[owner], lambda: context.run(function, *arguments)
        )

    def close(self) -> None:
        """Stop after what is being done now."""
        for thread in self._threads.values():
            thread.shutdown(cancel_futures=True)
        self._threads.clear()
