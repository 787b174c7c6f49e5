"""What is given while serving, kept in PostgreSQL: new items and new events.

The embedded cluster is one of its own: that of the index can be made anew, this one cannot.

The connection is looked after: a lost one is opened again, an embedded server that was killed is
started again, and until then writes say so while answers go on from memory.
"""

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb
from pydantic import SecretStr, ValidationError

from beauty_rec.recommender.online.people import Past
from beauty_rec.recommender.online.requests import NewItem
from beauty_rec.search.pgvector.server import postgres
from beauty_rec.serving.state.shown.tables import SHOWN
from beauty_rec.settings import redacted

LOG = logging.getLogger("beauty_rec.serving")
STORE = "store"
"""Folder of the embedded cluster, below the data folder."""
INDEX_CLUSTER = "postgres"
"""That of the item index, which held what was given before it had a cluster of its own."""
CONNECT_SECONDS = 5
PING_SECONDS = 1.0
READ_ONLY = "the data folder is read-only: what was given before is not there, and nothing is kept"

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS serving_items (
        id text PRIMARY KEY, record jsonb NOT NULL, changed_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE IF NOT EXISTS serving_events (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        user_id text NOT NULL, parent_asin text NOT NULL, time_ms bigint NOT NULL,
        rating real NOT NULL, UNIQUE (user_id, parent_asin, time_ms));
    CREATE TABLE IF NOT EXISTS serving_rows (
        key text PRIMARY KEY, made jsonb NOT NULL, vectors bytea NOT NULL);
"""
_GIVEN = {
    "serving_items": "id, record, changed_at",
    "serving_events": "user_id, parent_asin, time_ms, rating",
}


class KeptRow(NamedTuple):
    """What was made of an item; ``key`` is of the item and of what made it."""

    key: str
    made: dict[str, Any]
    vectors: bytes


class GivenEvent(NamedTuple):
    """An event of a user, and the answer that it is owed to, if any."""

    user_id: str
    event: Past
    recommendation_id: str | None = None


class DatabaseDown(ConnectionError):
    """PostgreSQL does not answer; the server is looked for in the background."""


class Store:
    """One connection, used by one thread at a time; close it when done.

    Args:
        folder: of the embedded server, used when there is no DSN.
        dsn: of another one.
        on_open: called after each (re)connection, on the thread that looks after it.
    """

    def __init__(
        self, folder: Path, dsn: SecretStr | None, on_open: Callable[[], None] = lambda: None
    ) -> None:
        self._folder, self._dsn, self._on_open = folder, dsn, on_open
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None
        self._server = ExitStack()
        self._done = threading.Event()
        self._lost = threading.Event()
        self._keeper: threading.Thread | None = None

    @property
    def read_only(self) -> bool:
        """Whether the folder cannot be written to: a server cannot run in it."""
        folder = self._folder
        while not folder.exists():
            folder = folder.parent
        return self._dsn is None and not os.access(folder, os.W_OK)

    @property
    def healthy(self) -> bool:
        """Whether the last look found the database there."""
        return self._connection is not None and not self._lost.is_set()

    def open(self) -> None:
        """Connect once.

        Raises:
            DatabaseDown: it cannot be reached.
        """
        with self._lock:
            self._reopen()
        self._on_open()

    def keep_open(self) -> None:
        """Look after the connection from now on, on a thread of its own."""
        if self.read_only:
            LOG.warning("database", extra={"event": "database_read_only", "error": READ_ONLY})
            return
        self._keeper = threading.Thread(target=self._keep, name="store", daemon=True)
        self._keeper.start()

    def close(self) -> None:
        """Disconnect, and stop the embedded server if nobody else uses it."""
        self._done.set()
        self._lost.set()
        if self._keeper is not None:
            self._keeper.join(timeout=30)
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._server.close()

    def items(self) -> list[NewItem]:
        """Return all items that were given, in the order of their last change.

        What an older version took and this one would refuse is left out, and kept.
        """
        found = []
        for (record,) in self._run("SELECT record FROM serving_items ORDER BY changed_at, id"):
            try:
                found.append(NewItem.model_validate(record))
            except ValidationError as error:
                LOG.warning("given item left out", extra={"faults": error.error_count()})
        return found

    def put_items(self, items: Sequence[NewItem]) -> None:
        """Insert or replace items, all or none."""
        rows = [(item.parent_asin, Jsonb(item.model_dump(mode="json"))) for item in items]
        self._run(
            "INSERT INTO serving_items (id, record) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE"
            " SET record = excluded.record, changed_at = now()",
            many=rows,
        )

    def rows(self, keys: Sequence[str]) -> list[KeptRow]:
        """Return what is kept under ``keys``."""
        found = self._run(
            "SELECT key, made, vectors FROM serving_rows WHERE key = ANY(%s)", [list(keys)]
        )
        return [KeptRow(key, made, bytes(vectors)) for key, made, vectors in found]

    def put_rows(self, rows: Sequence[KeptRow]) -> None:
        """Keep what was made of items."""
        self._run(
            "INSERT INTO serving_rows (key, made, vectors) VALUES (%s, %s, %s)"
            " ON CONFLICT (key) DO NOTHING",
            many=[(row.key, Jsonb(row.made), row.vectors) for row in rows],
        )

    def keep_rows(self, keys: Collection[str]) -> None:
        """Delete all rows but these."""
        self._run("DELETE FROM serving_rows WHERE key <> ALL(%s)", many=[(list(keys),)])

    def events(self) -> dict[str, list[Past]]:
        """Return all events that were given, by user, in their order."""
        found: dict[str, list[Past]] = {}
        for given in self.given_events():
            found.setdefault(given.user_id, []).append(given.event)
        return found

    def given_events(self) -> Iterator[GivenEvent]:
        """Yield the same one by one, each with the answer that it is owed to."""
        for user, parent_asin, rating, time_ms, kind, recommendation_id in self._run(
            "SELECT user_id, parent_asin, rating, time_ms, type, recommendation_id"
            " FROM serving_events ORDER BY number"
        ):
            yield GivenEvent(user, Past(parent_asin, rating, time_ms, kind), recommendation_id)

    def put_events(self, events: Sequence[GivenEvent]) -> None:
        """Insert events, all or none; the same one again changes its rating."""
        self._run(
            "INSERT INTO serving_events (user_id, parent_asin, rating, time_ms, type,"
            " recommendation_id) VALUES (%s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (user_id, parent_asin, time_ms, type) DO UPDATE"
            " SET rating = excluded.rating, recommendation_id ="
            " coalesce(excluded.recommendation_id, serving_events.recommendation_id)",
            many=[(given.user_id, *given.event, given.recommendation_id) for given in events],
        )

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        return self._run(statement, values)

    def write(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement once a row, for all or for none."""
        self._run(statement, many=rows)

    def _run(
        self,
        statement: str,
        values: Sequence[Any] = (),
        *,
        many: Sequence[Sequence[Any]] | None = None,
    ) -> list[tuple[Any, ...]]:
        if not self._lock.acquire(timeout=CONNECT_SECONDS):
            raise DatabaseDown("the database has been busy for too long")
        try:
            if self._connection is None or self._lost.is_set():
                raise DatabaseDown(READ_ONLY if self.read_only else "the database is away")
            if many is None:
                return self._connection.execute(statement, values).fetchall()
            with self._connection.transaction(), self._connection.cursor() as cursor:
                cursor.executemany(statement, many)
            return []
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self._lost.set()
            raise DatabaseDown("the database went away") from error
        finally:
            self._lock.release()

    def _keep(self) -> None:
        while not self._done.is_set():
            try:
                if self.healthy:
                    self._run("SELECT 1")
                else:
                    self.open()
            except Exception as error:  # whatever it is, the next look may find it mended
                LOG.warning("database", extra={"event": "database_down", "error": repr(error)})
            self._done.wait(PING_SECONDS)

    def _reopen(self) -> None:
        try:
            if self._connection is not None:
                self._connection.close()
            address = self._server.enter_context(postgres(self._folder, self._dsn))
            self._connection = psycopg.connect(
                address, autocommit=True, connect_timeout=CONNECT_SECONDS
            )
            self._connection.execute("SET statement_timeout = '10s'")
            with self._connection.transaction():
                self._connection.execute("SELECT pg_advisory_xact_lock(hashtext('beauty_rec'))")
                is_new = not _has(self._connection, "serving_items")
                self._connection.execute(_SCHEMA)
                self._connection.execute(SHOWN)
                if is_new and self._dsn is None:
                    _take_over(self._connection, self._folder.parent / INDEX_CLUSTER)
        except (psycopg.Error, RuntimeError, OSError) as error:
            self._connection = None
            said = redacted(str(error))
            raise DatabaseDown(f"the database cannot be reached: {said}") from error
        self._lost.clear()


def _take_over(connection: psycopg.Connection[Any], folder: Path) -> None:
    """Copy what was given while the cluster of the index in ``folder`` held it, if it did."""
    if not (folder / "cluster" / "PG_VERSION").exists():
        return
    with postgres(folder) as address, psycopg.connect(address) as before:
        for table, columns in _GIVEN.items():
            if not _has(before, table):
                continue
            part = sql.SQL(f"{table} ({columns})")
            out = before.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(part))
            into = connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(part))
            with out as lines, into as kept:
                for line in lines:
                    kept.write(line)


def _has(connection: psycopg.Connection[Any], table: str) -> bool:
    found = connection.execute("SELECT to_regclass(%s)", [table]).fetchone()
    return found is not None and found[0] is not None
