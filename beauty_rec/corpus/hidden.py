"""The file of items that are never shown."""

from pathlib import Path


def read_hidden(path: Path | None) -> frozenset[str]:
    """Return the ids of a file, one a line; blank lines are none. No file: nothing is hidden.

    Raises:
        ValueError: it is no file, or no text in UTF-8; the message names it.
    """
    if path is None:
        return frozenset()
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no file; name one with an id a line")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8 ({error.reason}); write it anew") from None
    return frozenset(filter(None, (line.strip() for line in lines)))
