"""Whose a database is: two shops in one retire each other's index, and mix their events.

A shop is known by the store that its workers share, or by an id that its data folder keeps,
wherever that is moved to.
"""

import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.search.pgvector.tables import connect
from beauty_rec.settings import Settings
from beauty_rec.verified import keeps

FILE = "shop.id"
CONNECT_SECONDS = 5
"""After which a database that says nothing is away."""


class AnotherShops(RuntimeError):
    """The database is another shop's; the message names that one's folder and the remedy."""


def claim(settings: Settings) -> None:
    """Take the database that the settings name, if any, for their shop. Not one that is away.

    Raises:
        AnotherShops: it is.
    """
    dsn = settings.item_index.dsn
    if dsn is None or not keeps():
        return
    with (
        suppress(psycopg.OperationalError),
        connect(dsn.get_secret_value(), CONNECT_SECONDS) as connection,
        connection.transaction(),
    ):
        claim_by(connection, settings)


def claim_by(connection: psycopg.Connection[Any], settings: Settings) -> None:
    """Do as :func:`claim` over a connection that is in a transaction."""
    folder = settings.data_dir
    if settings.item_index.dsn is None or not keeps():
        return
    shops = [name for name in (settings.storage.url, _id(folder)) if name]
    if not shops:  # nothing can be kept there, so nothing is built there
        return
    connection.execute("SELECT pg_advisory_xact_lock(hashtext('beauty_rec owner'))")
    connection.execute("SET LOCAL client_min_messages = warning")  # not that it exists already
    connection.execute("CREATE TABLE IF NOT EXISTS database_owner (shop text, folder text)")
    row = connection.execute("SELECT shop, folder FROM database_owner").fetchone()
    if row is None:
        connection.execute("INSERT INTO database_owner VALUES (%s, %s)", [shops[0], str(folder)])
        return
    owner, where = row[0], Path(row[1])
    if owner not in shops:
        raise AnotherShops(
            f"the database of item_index.dsn is that of the shop in {where}: name another one for "
            f"{folder}; or, where that shop is no more, or is this one without its {FILE}, run in "
            "the database: DROP TABLE database_owner"
        )
    if len(shops) == 1 and _is_copy(folder, where):  # workers have no database of their own
        raise AnotherShops(
            f"{folder} is a copy of {where}, whose database that of item_index.dsn is: name "
            f"another one for it, and delete {folder / FILE}"
        )
    # It may have been moved, or given a store.
    connection.execute("UPDATE database_owner SET shop = %s, folder = %s", [shops[0], str(folder)])


def _id(folder: Path) -> str:
    """Return what the data folder keeps, made where it has none; empty where that is read-only."""
    file = folder / FILE
    if not file.exists():
        with suppress(OSError):
            write_text_atomic(file, uuid.uuid4().hex + "\n")
    return file.read_text(encoding="utf-8").strip() if file.exists() else ""


def _is_copy(folder: Path, other: Path) -> bool:
    """Whether a shop's id stands in both folders, which are two."""
    ids = [place / FILE for place in (folder, other)]
    if not all(file.is_file() for file in ids) or folder.samefile(other):
        return False
    return ids[0].read_bytes() == ids[1].read_bytes()
