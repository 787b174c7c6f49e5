"""Interrupts: the first one unwinds the command, and it ends within seconds, whatever it computes.

The exit code is the shell's: 128 and the signal's number, so 130 after Ctrl-C, 143 after SIGTERM.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
PATIENCE_SECONDS = 20.0
"""For a command to unwind, open requests of a server among it; then the process just ends."""


class Interrupted(SystemExit):
    """A signal asked this process to end; ``code`` is the exit code that says so."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.name = signal.Signals(number).name


def end_on_signals() -> None:
    """Raise :class:`Interrupted` on the main thread at the first signal; later ones change nothing.

    A hang-up that is ignored (``nohup``) stays so.
    """
    _terminal()
    for number in ENDING:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)


def leave(interrupted: Interrupted) -> None:
    """Say so and end the process at once: nothing waits for threads that still compute."""
    with suppress(OSError):
        os.write(_terminal(), f"beauty-rec: ended by {interrupted.name}\n".encode())
    end_leftovers()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(interrupted.code or 0))


def end_leftovers() -> None:
    """End this process's children, and the PostgreSQL servers that it alone uses."""
    import psutil

    children = psutil.Process().children(recursive=True)
    for child in children:
        _quietly(child.terminate)
    for child in psutil.wait_procs(children, timeout=2)[1]:
        _quietly(child.kill)
    if "beauty_rec.search.pgvector.server" in sys.modules:
        from beauty_rec.search.pgvector.server import leave_all

        leave_all()


@cache
def _terminal() -> int:
    """Return a descriptor of standard error as it is at first.

    While a step runs Dagster captures the other one, and a process of its own, which may be ended
    too soon, shows what came.
    """
    try:
        return os.dup(2)
    except OSError:
        return 2


def _end(number: int, frame: FrameType | None) -> None:
    del frame
    for other in ENDING:  # not SIG_IGN, which children would inherit
        if signal.getsignal(other) is _end:
            signal.signal(other, _again)
    interrupted = Interrupted(number)
    watchdog = threading.Timer(PATIENCE_SECONDS, leave, (interrupted,))
    watchdog.daemon = True
    watchdog.start()
    raise interrupted


def _again(number: int, frame: FrameType | None) -> None:
    """Do nothing: the process is ending already."""


def _quietly(end: Callable[[], None]) -> None:
    import psutil

    with suppress(psutil.NoSuchProcess):
        end()
