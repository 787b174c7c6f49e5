"""Text for a terminal: whatever a shop's data hold, it is only read there."""

import io
import re
import sys

import typer

from beauty_rec.corpus.ids import HIDDEN
from beauty_rec.settings import redacted

# Ids may hold marks of direction; what is printed turns nothing.
_HIDDEN = re.compile(rf"(?![\n\t])[{HIDDEN}\u061c\u200e\u200f]")


def printable(text: str) -> str:
    """Return ``text`` with what moves the cursor, or turns the direction of writing, written out.

    JSON stays JSON and means the same.

    >>> printable("a \\x1b[31mred\\x9b title")
    'a \\\\u001b[31mred\\\\u009b title'
    """
    return _HIDDEN.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def write_any_text() -> None:
    """Let what an encoding of the terminal lacks be written out, where it would be an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str, *, err: bool = False) -> None:
    """Print a message without secrets, to standard error with ``err``."""
    typer.echo(printable(redacted(text)), err=err)


def show(text: str) -> None:
    """Print what a shop's data hold, which no form of a secret is looked for in."""
    typer.echo(printable(text))
