"""The tables of what is given while serving, and which of them hold personal data.

A table with a user's id is named in :data:`PERSONAL`, and is forgotten with the user. No statistics
are kept of such a column: PostgreSQL's would hold ids of users.
"""

from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from beauty_rec.search.pgvector.server import postgres
from beauty_rec.serving.state.connection import Change
from beauty_rec.serving.state.session import STATEMENT_SECONDS, Session, limit
from beauty_rec.serving.state.shown.tables import SHOWN

INDEX_CLUSTER = "postgres"
"""Folder of the item index's cluster, which held what was given before it had one of its own."""

PERSONAL = {"serving_events": "user_id", "serving_impressions": "user_id"}
"""Tables with personal data, and the column with the user's id; ``time_ms`` says of when it is."""

HELD_SECONDS = 3.0
"""That a server writes a table anew; others, who wait for it, have more patience."""
WAIT_SECONDS = 2.0
"""For whoever uses the table: everybody who comes later waits, too."""

SCHEMA = """
    CREATE TABLE IF NOT EXISTS serving_items (
        id text PRIMARY KEY, record jsonb NOT NULL, changed_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE IF NOT EXISTS serving_states (
        id text PRIMARY KEY, hidden boolean, in_stock boolean, price double precision,
        changed_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE IF NOT EXISTS serving_events (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        user_id text NOT NULL, parent_asin text NOT NULL, time_ms bigint NOT NULL,
        rating real NOT NULL, UNIQUE (user_id, parent_asin, time_ms));
    CREATE TABLE IF NOT EXISTS serving_forgotten (
        salt bytea NOT NULL, digest bytea NOT NULL, at_ms bigint NOT NULL,
        PRIMARY KEY (salt, digest));
    CREATE TABLE IF NOT EXISTS serving_rows (
        key text PRIMARY KEY, made jsonb NOT NULL, vectors bytea NOT NULL);
    CREATE TABLE IF NOT EXISTS serving_unscrubbed (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        since timestamptz NOT NULL DEFAULT now());
"""
UNSCRUBBED: Change = ("INSERT INTO serving_unscrubbed DEFAULT VALUES", [()])
"""To be run with a deletion: its rows are still in the files, see :func:`scrub`."""
CLAIM = """
    SELECT set_config('tcp_keepalives_idle', '10', false),
        set_config('tcp_keepalives_interval', '5', false),
        set_config('tcp_keepalives_count', '3', false),
        pg_try_advisory_lock(hashtext('beauty_rec'), 'serving_items'::regclass::oid::integer)
"""
"""The lock is of these tables, as a database may hold several shops by schema. It ends with its
session, and the session of a server whose machine is gone within half a minute."""
_GIVEN = {
    "serving_items": "id, record, changed_at",
    "serving_events": "user_id, parent_asin, time_ms, rating",
}


def prepare(connection: psycopg.Connection[Any], folder: Path | None) -> None:
    """Make the tables that are not there; take over what the cluster beside ``folder`` held."""
    is_new = not has(connection, "serving_items")
    is_older = not is_new and not has(connection, "serving_unscrubbed")
    connection.execute(SCHEMA)
    connection.execute(SHOWN)
    if is_older:  # a table may have been too large for it
        connection.execute(UNSCRUBBED[0])
    for table, column in PERSONAL.items():
        if _has_statistics(connection, table, column):  # else no lock: it may be written anew
            without = sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET STATISTICS 0")
            connection.execute(without.format(sql.Identifier(table), sql.Identifier(column)))
    if is_new and folder is not None:
        _take_over(connection, folder.parent / INDEX_CLUSTER)


def claim(connection: psycopg.Connection[Any]) -> bool:
    """Take the tables for one server while a connection lasts; return whether no other has them."""
    found = connection.execute(CLAIM).fetchone()
    return found is not None and bool(found[-1])


def has(connection: psycopg.Connection[Any], table: str) -> bool:
    """Whether there is a table of this name."""
    found = connection.execute("SELECT to_regclass(%s)", [table]).fetchone()
    return found is not None and found[0] is not None


def scrub(connection: Session, *, at_leisure: bool) -> bool:
    """Take deleted personal rows out of the server's files; return whether that was possible.

    A deleted row stays in its table's file until that is written anew, and in the write-ahead log
    until a checkpoint. Where others run the server, the log and the backups are theirs.

    Args:
        connection: on which nobody waits; who needs the table that is written anew does.
        at_leisure: take as long as it takes; else what takes long is left, and owed.
    """
    [(owed,)] = connection.execute(f"{UNSCRUBBED[0]} RETURNING number").fetchall()
    limit(connection, "lock_timeout", WAIT_SECONDS)
    try:
        is_out = _written_anew(connection, at_leisure=at_leisure)
    except psycopg.OperationalError:  # too large, in use, no room
        return False
    connection.execute("DELETE FROM serving_unscrubbed WHERE number <= %s", [owed])
    return is_out


def _written_anew(connection: Session, *, at_leisure: bool) -> bool:
    """Write the tables, statistics and the log anew; return whether all of it is allowed."""
    limit(connection, "statement_timeout", 0 if at_leisure else HELD_SECONDS)
    for table in PERSONAL:
        connection.execute(sql.SQL("VACUUM (FULL) {}").format(sql.Identifier(table)))
    try:
        connection.execute(
            "DELETE FROM pg_statistic WHERE starelid = ANY(SELECT to_regclass(name) FROM"
            " unnest(%s::text[]) AS name)",
            [list(PERSONAL)],
        )
        connection.execute("VACUUM (FULL) pg_statistic")
        connection.execute("SELECT pg_switch_wal()")
        limit(connection, "statement_timeout", 0 if at_leisure else STATEMENT_SECONDS)
        connection.execute("CHECKPOINT")  # which holds nobody up
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def _has_statistics(connection: psycopg.Connection[Any], table: str, column: str) -> bool:
    """Whether PostgreSQL may keep statistics of a column."""
    found = connection.execute(
        "SELECT attstattarget FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = %s",
        [table, column],
    ).fetchone()
    return found is None or found[0] != 0


def _take_over(connection: psycopg.Connection[Any], folder: Path) -> None:
    """Copy what was given while the cluster of the index in ``folder`` held it, if it did."""
    if not (folder / "cluster" / "PG_VERSION").exists():
        return
    with postgres(folder) as address, psycopg.connect(address) as before:
        for table, columns in _GIVEN.items():
            if not has(before, table):
                continue
            part = sql.SQL(f"{table} ({columns})")
            out = before.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(part))
            into = connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(part))
            with out as lines, into as kept:
                for line in lines:
                    kept.write(line)
