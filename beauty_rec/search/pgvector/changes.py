"""Changes of single rows of the served table, each in the transaction of the caller's cursor."""

from typing import Any

import psycopg
from psycopg import sql

from beauty_rec.search.pgvector.rows import ItemRows, copy_rows
from beauty_rec.search.protocol import IndexVersion
from beauty_rec.settings import VectorType

_UPSERT = """
    INSERT INTO {table} (id, embedding, category, brand, price)
    SELECT id, embedding, category, brand, price FROM changed_items
    ON CONFLICT (id) DO UPDATE SET (embedding, category, brand, price) =
        (excluded.embedding, excluded.category, excluded.brand, excluded.price)
"""


def claim_served(cursor: psycopg.Cursor[Any], name: str, table: str) -> None:
    """Hold ``name``'s pointer until the transaction ends.

    Raises:
        LookupError: it does not point to ``table``.
    """
    cursor.execute(
        "SELECT 1 FROM served_index WHERE name = %s AND table_name = %s FOR UPDATE", [name, table]
    )
    if cursor.fetchone() is None:
        raise LookupError(f"{table} is not served any more as {name}; open the index again")


def replace_rows(
    cursor: psycopg.Cursor[Any], table: sql.Identifier, rows: ItemRows, type_: VectorType
) -> int:
    """Insert ``rows``, or replace those of the same id; return how many."""
    cursor.execute(
        sql.SQL("CREATE TEMP TABLE changed_items (LIKE {}) ON COMMIT DROP").format(table)
    )
    copy_rows(cursor, sql.Identifier("changed_items"), rows, type_)
    return cursor.execute(sql.SQL(_UPSERT).format(table=table)).rowcount


def delete_rows(cursor: psycopg.Cursor[Any], table: sql.Identifier, ids: list[str]) -> int:
    """Delete the rows of ``ids``, of which unknown ones are ignored; return how many there were."""
    known = [id_ for id_ in ids if "\0" not in id_]  # PostgreSQL cannot even be asked for others
    return cursor.execute(
        sql.SQL("DELETE FROM {} WHERE id = ANY (%s::text[])").format(table), [known]
    ).rowcount


def record_change(
    cursor: psycopg.Cursor[Any], name: str, table: sql.Identifier, version: str | None
) -> IndexVersion:
    """Set the number of rows, and ``version`` (None: the present one with a ``+``)."""
    row = cursor.execute(
        sql.SQL(
            "UPDATE served_index SET rows = (SELECT count(*) FROM {}),"
            " version = coalesce(%s, rtrim(version, '+') || '+')"
            " WHERE name = %s RETURNING version, rows, dimension, recall"
        ).format(table),
        [version, name],
    ).fetchone()
    assert row is not None  # claimed before
    return IndexVersion(*row)
