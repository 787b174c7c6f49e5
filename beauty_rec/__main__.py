"""`beauty-rec`, and `python -m beauty_rec`: signals end it in good order from the first moment on.

Of the standard library alone until then: the commands take a second to be imported, in which
Ctrl-C would be a traceback out of the midst of them.
"""

import os
import signal
from types import FrameType


def main() -> None:
    """Run the command line."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    from beauty_rec.cli import main as run  # which takes signals itself

    run()


def _leave(number: int, frame: FrameType | None) -> None:
    """End at once: nothing is begun that could be unwound."""
    del frame
    os.write(2, f"beauty-rec: ended by {signal.Signals(number).name}\n".encode())
    os._exit(128 + number)


if __name__ == "__main__":
    main()
