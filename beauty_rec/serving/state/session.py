"""A session with PostgreSQL that gives a server up which says nothing.

The server's own limits end a statement that is slow. A server that hangs, or whose machine is gone,
keeps none of them.
"""

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

T = TypeVar("T")

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 10.0
GRACE_SECONDS = 2.0
"""Beyond the limit of a statement, for the server to say that it was reached."""
KEPT_ALIVE = {
    "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}  # fmt: skip
"""So that a machine that is gone is noticed within half a minute, however long a statement may be;
what a connection string says itself stands."""


class Silent(psycopg.OperationalError):
    """The server has not said anything for too long."""


class Session(psycopg.Connection[Any]):
    """A connection that is closed where a statement is met with silence.

    Attributes:
        patience: seconds of silence; None: as long as it takes.
    """

    patience: float | None = STATEMENT_SECONDS + GRACE_SECONDS

    def wait(self, gen: Generator[Any, Any, T], *arguments: Any, **named: Any) -> T:
        """Do as psycopg's, which every statement waits in, but not for ever.

        Raises:
            Silent: the connection is closed.
        """
        try:
            return super().wait(_while_heard(gen, self.patience), *arguments, **named)
        except Silent:
            self.close()
            raise

    def look(self, seconds: float) -> None:
        """Ask something that a server says at once.

        Raises:
            Silent: it did not within these seconds.
        """
        usual, self.patience = self.patience, seconds
        try:
            self.execute("SELECT 1")
        finally:
            self.patience = usual


def open_session(address: str, seconds: int = CONNECT_SECONDS) -> Session:
    """Return a session that commits each statement.

    Args:
        address: a connection string.
        seconds: for the server to answer in, 2 at least.

    Raises:
        psycopg.OperationalError: there is none; ``ConnectionTimeout``: nothing was said in time.
    """
    whole = make_conninfo("", **{**KEPT_ALIVE, **conninfo_to_dict(address)})
    session = Session.connect(whole, autocommit=True, connect_timeout=seconds)
    limit(session, "statement_timeout", STATEMENT_SECONDS)
    return session


def limit(session: Session, name: str, seconds: float) -> None:
    """Set ``statement_timeout`` or ``lock_timeout`` of a session; 0: there is none."""
    session.execute("SELECT set_config(%s, %s, false)", [name, f"{round(1000 * seconds)}ms"])
    if name == "statement_timeout":
        session.patience = seconds + GRACE_SECONDS if seconds else None


def _while_heard(gen: Generator[Any, Any, T], patience: float | None) -> Generator[Any, Any, T]:
    """Go on with what waits for a server as long as that says, or takes, something now and then."""
    heard, ready = time.monotonic(), None
    while True:
        try:
            wanted = gen.send(ready)
        except StopIteration as end:
            done: T = end.value
            return done
        ready = yield wanted
        if ready:
            heard = time.monotonic()
        elif patience is not None and time.monotonic() - heard > patience:
            raise Silent(f"the server has said nothing for {patience:.0f} s")
