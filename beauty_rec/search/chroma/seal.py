"""The seal of a ChromaDB version: what its files held when it was verified.

Opening a version writes to its SQLite file (who holds the lock), so of that the tables count. The
graph of few entries is made from these tables at each opening, and its files, which hold nothing
until then, do not count. Of all else every byte does.
"""

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from beauty_rec.artifacts import ODD_JSON, file_hashes, write_text_atomic

SEAL = "seal.json"
DATABASE = "chroma.sqlite3"
CHANGES_WHEN_OPENED = "acquire_write"
WRITTEN_GRAPH = "index_metadata.pickle"
"""Stands beside the files of a graph that was written; ChromaDB's own, and not read here."""


def seal(folder: Path) -> None:
    """Write the seal of a version that is closed and right."""
    if (folder / DATABASE).exists():
        with closing(sqlite3.connect(folder / DATABASE)) as database:
            database.execute("VACUUM")  # so that no page is unused: any change of one counts
    write_text_atomic(folder / SEAL, json.dumps(_contents(folder), indent=1) + "\n")


def fault(folder: Path) -> str | None:
    """Return which file of a version is missing or damaged, or None."""
    try:
        wanted = dict(json.loads((folder / SEAL).read_text(encoding="utf-8")))
        found = _contents(folder)
    except (OSError, *ODD_JSON) as error:
        return f"{folder / SEAL} cannot be read ({error})"
    except sqlite3.DatabaseError as error:
        return f"{folder / DATABASE} is damaged ({error})"
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            return f"{folder / name} is {'damaged' if name in found else 'missing'}"
    return None


def _contents(folder: Path) -> dict[str, str]:
    found = file_hashes(folder)
    found.pop(SEAL, None)
    for name in list(found):
        graph, _, file = name.rpartition("/")
        unwritten = graph and f"{graph}/{WRITTEN_GRAPH}" not in found
        if file.startswith(DATABASE) or unwritten:
            del found[name]
    if (folder / DATABASE).exists():
        found[DATABASE] = _tables(folder / DATABASE)
    return found


def _tables(path: Path) -> str:
    """Return a hash of all rows of a SQLite file.

    Raises:
        sqlite3.DatabaseError: it is not whole.
    """
    digest = hashlib.sha256()
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        (verdict,) = database.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        tables = "SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name"
        for name, statement in database.execute(tables).fetchall():
            digest.update(f"{name}\0{statement}\0".encode())
            if name != CHANGES_WHEN_OPENED:
                quoted = name.replace('"', '""')
                for row in database.execute(f'SELECT * FROM "{quoted}"'):
                    digest.update(repr(row).encode())
    return digest.hexdigest()[:32]
