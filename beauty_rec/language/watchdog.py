"""Runs a server for as long as the process that asked for it lives, and ends it with all its kin.

A program of its own, of the standard library alone: it stays when its parent is killed, sees that
(its standard input closes, or it gets another parent), and ends the server's process group, so
that no engine keeps a GPU. Should the watchdog itself be killed, Linux tells the server to end
(PR_SET_PDEATHSIG).

    python watchdog.py LOG COMMAND [ARGUMENT ...]
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

POLL_S = 0.5
GRACE_S = 20.0
_PR_SET_PDEATHSIG = 1


def main(log_path: str, command: list[str]) -> int:
    """Run ``command`` until it ends or the parent does; return its exit status."""
    parent = os.getppid()
    asked_to_stop: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda signum, _: asked_to_stop.append(signum))
    with Path(log_path).open("ab") as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
    try:
        while child.poll() is None and not asked_to_stop and os.getppid() == parent:
            readable, _, _ = select.select([sys.stdin.fileno()], [], [], POLL_S)
            if readable and not os.read(sys.stdin.fileno(), 1):
                break
    finally:
        _end_group(child)
    return child.returncode or 0


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end_group(child: "subprocess.Popen[bytes]") -> None:
    """Ask the group to end, then make it; also what the child left behind when it died."""
    for number, patience_s in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(child.pid, number)
        except (ProcessLookupError, PermissionError):
            break
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            child.poll()
            try:
                os.killpg(child.pid, 0)
            except (ProcessLookupError, PermissionError):
                break
            time.sleep(0.1)
    child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
