"""The tables of the pgvector indexes: connection, names, the pointer, retirement.

Each version of an index stands in a table of its own. ``served_index`` points to the one that is
served, ``retired_index`` holds those that may still be read for a while, ``index_whitening`` what
the queries of a table are mapped by: see :mod:`.whitening`.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from pgvector.psycopg import register_vector
from psycopg import sql

from beauty_rec.search.protocol import IndexVersion

NAME = re.compile(r"[a-z](_?[a-z0-9]){0,23}")
VERSION = re.compile(r"[a-z0-9]{1,32}")
OLDEST_PGVECTOR = (0, 8)
"""The first with iterative scans."""

_SCHEMA = (
    "CREATE EXTENSION IF NOT EXISTS vector",
    """CREATE TABLE IF NOT EXISTS served_index (
        name text PRIMARY KEY, table_name text NOT NULL, version text NOT NULL,
        rows bigint NOT NULL, dimension int NOT NULL, recall double precision NOT NULL,
        served_at timestamptz NOT NULL DEFAULT now())""",
    """CREATE TABLE IF NOT EXISTS retired_index (
        table_name text PRIMARY KEY, name text NOT NULL,
        retired_at timestamptz NOT NULL DEFAULT now())""",
    "ALTER TABLE served_index ADD COLUMN IF NOT EXISTS checksum text",
    "ALTER TABLE served_index ADD COLUMN IF NOT EXISTS ef_search int",
    """CREATE TABLE IF NOT EXISTS index_whitening (
        table_name text PRIMARY KEY, width int NOT NULL, of_queries bytea NOT NULL)""",
)


@dataclass(frozen=True)
class Served:
    """The table that an index name points to; ``checksum``: of its rows when it was built."""

    table: str
    version: IndexVersion
    checksum: str | None


def connect(dsn: str, seconds: int | None = None) -> psycopg.Connection[Any]:
    """Return a connection in autocommit; close it, or use it as a context.

    Args:
        dsn: of the database.
        seconds: to wait for it; None: as its DSN says.
    """
    return psycopg.connect(dsn, autocommit=True, connect_timeout=seconds)


def ensure_schema(connection: psycopg.Connection[Any], name: str) -> None:
    """Wait until nobody else builds ``name``; then make the extension and the tables.

    The turn lasts as long as the connection. If this client dies, its server process notices
    within seconds and gives the turn back.

    Raises:
        ValueError: ``name`` is not a name.
        RuntimeError: the server's pgvector is older than 0.8, or missing.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no index name: {NAME.pattern}")
    # Without it (some systems, PostgreSQL 13) a vanished client is noticed later.
    with suppress(psycopg.errors.UndefinedObject, psycopg.errors.InvalidParameterValue):
        connection.execute("SET client_connection_check_interval = '5s'")
    connection.execute("SELECT pg_advisory_lock(hashtextextended('beauty_rec ' || %s, 0))", [name])
    connection.execute("SET client_min_messages = warning")  # not that a table exists already
    try:
        with connection.transaction():
            # CREATE … IF NOT EXISTS is no protection against another name's first builder.
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('beauty_rec'))")
            for statement in _SCHEMA:
                connection.execute(statement)
    except (psycopg.errors.UndefinedFile, psycopg.errors.InsufficientPrivilege) as error:
        raise RuntimeError(f"the database server has no pgvector for us: {error}") from error
    (version,) = _one(connection, "SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_PGVECTOR:
        raise RuntimeError(f"pgvector {version} is too old: iterative scans came with 0.8")
    register_vector(connection)


def read_served(connection: psycopg.Connection[Any], name: str) -> Served | None:
    """Return what ``name`` points to; None when nothing was published yet."""
    if _one(connection, "SELECT to_regclass('served_index')") == (None,):
        return None
    row = connection.execute(
        "SELECT table_name, version, rows, dimension, recall,"
        # an older release's has no such columns
        " (to_jsonb(s) ->> 'ef_search')::int, to_jsonb(s) ->> 'checksum'"
        " FROM served_index s WHERE name = %s",
        [name],
    ).fetchone()
    return Served(row[0], IndexVersion(*row[1:6]), row[6]) if row else None


def keep_whitening(
    connection: psycopg.Connection[Any], table: str, of_queries: NDArray[np.float32]
) -> None:
    """Keep what the queries of ``table`` are mapped by, float32 ``[K, D]``."""
    connection.execute("DELETE FROM index_whitening WHERE table_name = %s", [table])
    connection.execute(
        "INSERT INTO index_whitening VALUES (%s, %s, %s)",
        [table, of_queries.shape[1], of_queries.astype("<f4").tobytes()],
    )


def read_whitening(connection: psycopg.Connection[Any], table: str) -> NDArray[np.float32]:
    """Return what :func:`keep_whitening` kept.

    Raises:
        LookupError: nothing is kept of that table.
    """
    row = connection.execute(
        "SELECT width, of_queries FROM index_whitening WHERE table_name = %s", [table]
    ).fetchone()
    if row is None:
        raise LookupError(f"it is not known what the queries of table {table} are mapped by")
    return np.frombuffer(row[1], "<f4").astype(np.float32).reshape(-1, row[0])


def free_table(connection: psycopg.Connection[Any], name: str, version: str) -> str:
    """Return a table name for ``version`` that is neither served nor retired.

    Raises:
        ValueError: ``version`` is not 1 to 32 of a-z and 0-9.
    """
    if not VERSION.fullmatch(version):
        raise ValueError(f"{version!r} is no version: {VERSION.pattern}")
    taken = set(_tables(connection, name))
    base = f"{name}__{version}"
    return next(t for t in (base, *(f"{base}_{i}" for i in range(2, 10_000))) if t not in taken)


def point_to(
    connection: psycopg.Connection[Any],
    name: str,
    table: str,
    version: IndexVersion,
    checksum: str,
) -> None:
    """Serve ``table`` from now on and retire what was served, in one transaction."""
    with connection.transaction():
        connection.execute("DELETE FROM retired_index WHERE table_name = %s", [table])
        connection.execute(
            "INSERT INTO retired_index (table_name, name) SELECT table_name, name FROM served_index"
            " WHERE name = %s AND table_name <> %s ON CONFLICT DO NOTHING",
            [name, table],
        )
        connection.execute(
            "INSERT INTO served_index"
            " (name, table_name, version, rows, dimension, recall, ef_search, checksum)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (name) DO UPDATE SET"
            " (table_name, version, rows, dimension, recall, ef_search, checksum, served_at) ="
            " (excluded.table_name, excluded.version, excluded.rows, excluded.dimension,"
            " excluded.recall, excluded.ef_search, excluded.checksum, now())",
            [
                *(name, table, version.version, version.rows),
                *(version.dimension, version.recall_vs_exact, version.ef_search, checksum),
            ],
        )


def drop_unused(connection: psycopg.Connection[Any], name: str, grace_seconds: float) -> None:
    """Drop leftovers of killed builds, and tables retired for longer than ``grace_seconds``.

    Call it in one's turn to build (:func:`ensure_schema`). A table that a long query holds is left
    for the next time.
    """
    kept = {
        row[0]
        for row in connection.execute(
            "SELECT table_name FROM served_index UNION ALL SELECT table_name FROM retired_index"
            " WHERE retired_at > now() - make_interval(secs => %s)",
            [grace_seconds],
        )
    }
    for table in _tables(connection, name):
        if table not in kept:
            drop(connection, table)


def drop(connection: psycopg.Connection[Any], table: str) -> None:
    """Drop ``table``, unless a query holds it for long."""
    with suppress(psycopg.errors.LockNotAvailable), connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '5s'")
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(table)))
        connection.execute("DELETE FROM retired_index WHERE table_name = %s", [table])
        connection.execute("DELETE FROM index_whitening WHERE table_name = %s", [table])


def _tables(connection: psycopg.Connection[Any], name: str) -> list[str]:
    found = connection.execute(
        "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND pg_table_is_visible(oid)"
        " AND starts_with(relname::text, %s)",
        [f"{name}__"],
    )
    return [row[0] for row in found]


def _one(connection: psycopg.Connection[Any], statement: str) -> Any:
    return connection.execute(statement).fetchone()
