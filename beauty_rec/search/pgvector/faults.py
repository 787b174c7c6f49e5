"""What of a served pgvector index is missing or damaged."""

from typing import Any

import psycopg
from psycopg import sql

from beauty_rec.search.pgvector.index import NAME
from beauty_rec.search.pgvector.tables import connect, read_served

DAMAGED = ("XX", "58")
"""Classes of SQLSTATE: internal errors, such as damaged pages, and of the system, such as files."""

_CHECKSUM = """
    SELECT count(*), coalesce(sum(
        ('x' || left(md5(convert_to(id, 'UTF8') || {send}(embedding) || {send}(near)), 15)
        )::bit(60)::bigint), 0)
    FROM {table}
"""
_WHITENING = "SELECT md5(of_queries) FROM index_whitening WHERE table_name = %s"
_INDEXES = "SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass AND indisvalid"


def is_damage(error: psycopg.Error) -> bool:
    """Tell whether the database met something that it wrote otherwise."""
    return (error.sqlstate or "")[:2] in DAMAGED


def row_checksum(connection: psycopg.Connection[Any], table: str) -> tuple[int, str]:
    """Return how many rows a table has, and a checksum of all that a search reads of it.

    Of ids and vectors, in any order, and of what queries are mapped by.
    """
    found = connection.execute(
        "SELECT typname FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid"
        " WHERE attrelid = %s::regclass AND attname = 'embedding'",
        [_quoted(connection, table)],
    ).fetchone()
    send = sql.Identifier(f"{found[0] if found else 'vector'}_send")
    statement = sql.SQL(_CHECKSUM).format(send=send, table=sql.Identifier(table))
    ((rows, total),) = connection.execute(statement).fetchall()
    mapped = connection.execute(_WHITENING, [table]).fetchone()
    return int(rows), str(total) + (f"-{mapped[0]}" if mapped else "")


def fault(dsn: str, version: str, *, name: str = NAME) -> str | None:
    """Return what keeps the index ``name`` from being ``version`` as it was built, or None.

    Raises:
        psycopg.OperationalError: the server cannot be reached.
    """
    with connect(dsn) as connection:
        try:
            return _fault(connection, version, name)
        except psycopg.errors.UndefinedTable as error:
            return f"the table of the index {name!r} is missing ({error.diag.message_primary})"
        except psycopg.Error as error:
            if not is_damage(error):
                raise
            return f"the index {name!r} is damaged ({error.diag.message_primary})"


def _fault(connection: psycopg.Connection[Any], version: str, name: str) -> str | None:
    served = read_served(connection, name)
    if served is None:
        return f"the database has no index {name!r}"
    if served.version.version != version:
        return f"the database has version {served.version.version} of {name!r}, not {version}"
    rows, checksum = row_checksum(connection, served.table)
    if rows != served.version.rows:
        return f"table {served.table} has {rows} rows of {served.version.rows}"
    if checksum != served.checksum:
        return f"the rows of table {served.table} are not those that were written"
    found = connection.execute(_INDEXES, [_quoted(connection, served.table)]).fetchone()
    if found is None or found[0] < 2:  # of the ids and of the vectors
        return f"table {served.table} has lost an index"
    return None


def _quoted(connection: psycopg.Connection[Any], table: str) -> str:
    return sql.Identifier(table).as_string(connection)
