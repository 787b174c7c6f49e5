"""A connection to PostgreSQL that is looked after.

A lost one is opened again, so is one to a server that hangs, an embedded server that was killed is
started again, and until then writes say so while answers go on from memory. Of several servers the
first one has the store; to the others it is away, as each answers from its own memory and would
undo what it did not see: what was withdrawn, who was forgotten.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from pydantic import SecretStr

from beauty_rec.artifacts import existing
from beauty_rec.search.pgvector.owner import AnotherShops
from beauty_rec.search.pgvector.server import postgres
from beauty_rec.serving.state.session import CONNECT_SECONDS, Session, Silent, limit, open_session
from beauty_rec.settings import redacted

T = TypeVar("T")

LOG = logging.getLogger("beauty_rec.serving")
PING_SECONDS = 1.0
LOOK_SECONDS = 3
"""That a look waits for a server: one that hangs is noticed about as soon as a killed one."""
LOCK_SECONDS = 4.0
"""That a statement waits for a table; less than others wait for their turn meanwhile."""
READ_ONLY = "the data folder is read-only: what was given before is not there, and nothing is kept"
AWAY = "the database is away"
ELSEWHERE = "another server has what was given, and is to end first"
NOT_OURS = "the database is another shop's; the log names it"

Change = tuple[str, Sequence[Sequence[Any]]]
"""A statement, and the values of each time that it is run."""


class DatabaseDown(ConnectionError):
    """PostgreSQL does not answer, which is looked after, or could not do something now."""


class _Busy(DatabaseDown):
    """Another thread has had the connection for long."""


class Connection:
    """One connection, used by one thread at a time; close it when done.

    Args:
        folder: of the embedded server, used when there is no DSN.
        dsn: of another one.
        on_open: called after each (re)connection, on the thread that looks after it, as another
            server may have had the store meanwhile; where it finds the database away, the
            connection counts as lost.
    """

    def __init__(
        self, folder: Path, dsn: SecretStr | None, on_open: Callable[[], None] = lambda: None
    ) -> None:
        self._folder, self._dsn, self._on_open = folder, dsn, on_open
        self._lock = threading.Lock()
        self._connection: Session | None = None
        self._server, self._address = ExitStack(), ""
        self._done = threading.Event()
        self._lost = threading.Event()
        self._keeper: threading.Thread | None = None
        self._claims, self._why_away = False, AWAY

    @property
    def read_only(self) -> bool:
        """Whether the folder cannot be written to: of such a copy nothing is kept, anywhere."""
        return not os.access(existing(self._folder), os.W_OK)

    @property
    def healthy(self) -> bool:
        """Whether the last look found the database there."""
        return self._connection is not None and not self._lost.is_set()

    @property
    def away(self) -> str:
        """Why nothing can be read or kept while that is so."""
        return READ_ONLY if self.read_only else self._why_away

    def open(self) -> None:
        """Connect once.

        Raises:
            DatabaseDown: it cannot be reached, or is another server's.
        """
        with self._lock:
            self._reopen()
        try:
            self._on_open()
        except DatabaseDown:
            self._lost.set()
            raise

    def keep_open(self) -> None:
        """Look after the connection from now on, on a thread of its own; keep other servers out."""
        if self.read_only:
            LOG.warning("database", extra={"event": "database_read_only", "error": READ_ONLY})
            return
        if not self._claims:
            self._claims = True
            if self._connection is not None:  # what was read then another may have changed since
                with suppress(DatabaseDown):  # it is looked for from now on
                    self.open()
        self._keeper = threading.Thread(target=self._keep, name="store", daemon=True)
        self._keeper.start()

    def close(self) -> None:
        """Disconnect, and stop the embedded server if nobody else uses it."""
        self._done.set()
        self._lost.set()
        if self._keeper is not None:
            self._keeper.join(timeout=30)
        with self._lock:
            self._disconnect()
            self._server.close()

    def prepare(self, connection: psycopg.Connection[Any]) -> None:
        """Make the tables that are not there yet; called in a transaction of its own."""

    def claim(self, connection: psycopg.Connection[Any]) -> bool:
        """Keep other servers out while the connection lasts; return whether none is in."""
        return True

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a statement, none where it gives none.

        Raises:
            DatabaseDown: it was not run.
        """

        def fetched(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
            cursor = connection.execute(statement, values)
            return [] if cursor.description is None else cursor.fetchall()

        return self._with(fetched)

    def change(self, *changes: Change) -> None:
        """Run statements, all or none.

        Raises:
            DatabaseDown: none was run.
        """

        def changed(connection: psycopg.Connection[Any]) -> None:
            with connection.transaction(), connection.cursor() as cursor:
                for statement, rows in changes:
                    cursor.executemany(statement, rows)

        self._with(changed)

    def read_aside(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Do as :meth:`read` for a statement that may be slow: nobody waits for it.

        Raises:
            DatabaseDown: it was not run.
        """
        with self.aside() as connection:
            return connection.execute(statement, values).fetchall()

    @contextmanager
    def aside(self) -> Iterator[Session]:
        """Yield another connection, beside which this one goes on.

        Raises:
            DatabaseDown: the database is away, or could not do what was asked.
        """
        self.must_answer()
        try:
            with open_session(self._address) as connection:
                limit(connection, "lock_timeout", LOCK_SECONDS)
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise DatabaseDown(_not_now(error)) from error

    def must_answer(self) -> None:
        """Do nothing while the database is there, as far as is known.

        Raises:
            DatabaseDown: it is away.
        """
        if not self.healthy:
            raise DatabaseDown(self.away)

    def _with(self, use: Callable[[Session], T], seconds: float = CONNECT_SECONDS) -> T:
        self.must_answer()  # before the lock, which a look for the database may hold for long
        if not self._lock.acquire(timeout=seconds):
            raise _Busy("the database has been busy for too long")
        try:
            if self._connection is None or self._lost.is_set():
                raise DatabaseDown(self.away)
            return use(self._connection)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if self._connection is None or self._connection.closed or _ends_connection(error):
                self._lost.set()
                raise DatabaseDown("the database went away") from error
            raise DatabaseDown(_not_now(error)) from error
        finally:
            self._lock.release()

    def _keep(self) -> None:
        said = ""
        while not self._done.is_set():
            try:
                if self.healthy:
                    self._look()
                else:
                    self.open()
                said = ""
            except Exception as error:  # whatever it is, the next look may find it mended
                if repr(error) != said:  # it may last
                    said = repr(error)
                    LOG.warning("database", extra={"event": "database_down", "error": said})
            self._done.wait(PING_SECONDS)

    def _look(self) -> None:
        try:
            self._with(lambda connection: connection.look(LOOK_SECONDS), PING_SECONDS)
        except _Busy:  # with a statement that is slow, or that is never answered
            try:
                open_session(self._address, LOOK_SECONDS).close()
            except (psycopg.errors.ConnectionTimeout, Silent) as error:
                self._lost.set()
                raise DatabaseDown("the database says nothing") from error
            except psycopg.Error:  # it has no room for one more, which it says itself
                pass

    def _reopen(self) -> None:
        self._lost.set()
        self._disconnect()
        try:
            server = ExitStack()
            self._address = server.enter_context(postgres(self._folder, self._dsn))
            before, self._server = self._server, server
            before.close()  # not until now: the last one to leave stops the server
            self._connection = open_session(self._address)
            with self._connection.transaction():
                self._connection.execute("SELECT pg_advisory_xact_lock(hashtext('beauty_rec'))")
                self.prepare(self._connection)
            limit(self._connection, "lock_timeout", LOCK_SECONDS)
            is_elsewhere = self._claims and not self.claim(self._connection)
        except (psycopg.Error, RuntimeError, OSError) as error:
            self._disconnect()
            self._why_away = NOT_OURS if isinstance(error, AnotherShops) else AWAY
            said = redacted(str(error))
            raise DatabaseDown(f"the database cannot be reached: {said}") from error
        self._why_away = ELSEWHERE if is_elsewhere else AWAY
        if is_elsewhere:
            self._disconnect()
            raise DatabaseDown(self.away)
        self._lost.clear()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _ends_connection(error: psycopg.Error) -> bool:
    """Whether an error is of the connection or of a server that goes down, not of a statement."""
    return error.sqlstate is None or error.sqlstate.startswith(("08", "57P"))


def _not_now(error: psycopg.Error) -> str:
    return f"the database could not do this now: {type(error).__name__}"
