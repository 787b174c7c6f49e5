"""The file of items that are never shown."""

from pathlib import Path


def read_hidden(path: Path | None) -> frozenset[str]:
    """Return the ids of a file, one a line; blank lines are none. No file: nothing is hidden."""
    if path is None:
        return frozenset()
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return frozenset(filter(None, (line.strip() for line in lines)))
