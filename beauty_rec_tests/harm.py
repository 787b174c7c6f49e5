"""What may befall a file, a folder or a table."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from beauty_rec.search.pgvector.tables import read_served


def delete(path: Path) -> None:
    """Remove a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def truncate(path: Path) -> None:
    """Cut a file, or the largest file of a folder, to half its size."""
    file = largest(path)
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)


def flip_bit(path: Path, at: bytes = b"") -> None:
    """Change one bit of a file, or of the largest file of a folder: of ``at``, or in the middle."""
    file = largest(path)
    place = file.read_bytes().index(at) if at else file.stat().st_size // 2
    with file.open("r+b") as opened:
        opened.seek(place)
        (byte,) = opened.read(1)
        opened.seek(-1, 1)
        opened.write(bytes([byte ^ 16]))


def largest(path: Path) -> Path:
    """Return a file itself, of a folder its largest file."""
    files = [f for f in path.rglob("*") if f.is_file()] if path.is_dir() else [path]
    return max(files, key=lambda file: file.stat().st_size)


HARMS: dict[str, Callable[[Path], None]] = {
    "deleted": delete,
    "truncated": truncate,
    "one bit flipped": flip_bit,
}


ODD_JSON = ("[]", "null", "5", '"text"', '{"files": 5}', "[" * 20_000)
"""JSON that nobody wrote, or too deep to be read."""


def served_table(connection: psycopg.Connection[Any]) -> tuple[str, str]:
    """Return the table of the served item index, and its file in the cluster."""
    served = read_served(connection, "items")
    assert served is not None
    found = connection.execute(
        "SELECT pg_relation_filepath(%s::regclass)", [f'"{served.table}"']
    ).fetchone()
    assert found is not None
    return served.table, found[0]
