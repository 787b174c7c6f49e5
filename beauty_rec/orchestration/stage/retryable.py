"""Errors that pass by themselves: a step that met one is tried again, no other is."""

import sqlite3
from collections.abc import Iterator

PASSING = (ConnectionError, TimeoutError, InterruptedError, BlockingIOError)
PASSING_NAMES = {
    "psycopg.OperationalError",
    "psycopg.errors.OperationalError",
    "httpx.TransportError",
    "httpcore.NetworkError",
    "botocore.exceptions.EndpointConnectionError",
}


def is_passing(error: BaseException) -> bool:
    """Tell whether the error, or what caused it, is a lost connection, a time-out or a lock."""
    return any(_passing(each) for each in _chain(error))


def _passing(error: BaseException) -> bool:
    if isinstance(error, FileNotFoundError | PermissionError):
        return False
    if isinstance(error, sqlite3.OperationalError):
        return "locked" in str(error)
    # By name, so that no database driver is imported to classify an error it did not raise.
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    return isinstance(error, PASSING) or bool(names & PASSING_NAMES)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
