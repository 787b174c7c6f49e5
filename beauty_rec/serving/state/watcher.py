"""Something that is done every few seconds for as long as the server runs, whatever happens."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOG = logging.getLogger("beauty_rec.serving")
LAST_SECONDS = 30.0
"""For the call that is under way at the end."""


@contextmanager
def watching(look: Callable[[], object], seconds: float) -> Iterator[None]:
    """Call ``look`` on a thread of its own, again and again; an error ends one call, no more.

    Args:
        look: what is called.
        seconds: before each call.
    """
    done = threading.Event()

    def watch() -> None:
        while not done.wait(seconds):
            try:
                look()
            except Exception as error:
                LOG.error("watcher", extra={"event": "watcher_error", "error": repr(error)})

    thread = threading.Thread(target=watch, name="watcher", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(LAST_SECONDS)
