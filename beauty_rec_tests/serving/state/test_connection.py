"""The store's connection: what takes it away and what does not, with a real PostgreSQL."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from beauty_rec.recommender.online.people import Past
from beauty_rec.search.pgvector.postmaster import status_lines
from beauty_rec.search.pgvector.server import postgres
from beauty_rec.serving.state import connection, database, session
from beauty_rec.serving.state.connection import DatabaseDown
from beauty_rec.serving.state.database import STORE, GivenEvent, Store
from beauty_rec_tests.serving.state.test_store import ITEM

PID = "SELECT pg_backend_pid()"


def test_a_statement_that_fails_leaves_the_store_to_the_others(store: Store) -> None:
    before = store.read(PID)
    store.read("SET statement_timeout = '100ms'")
    with pytest.raises(DatabaseDown, match="could not do this now: QueryCanceled"):
        store.read("SELECT pg_sleep(5)")
    assert store.healthy
    store.put_items([ITEM])
    assert store.items() == [ITEM]
    assert store.read(PID) == before


def test_a_lost_connection_is_opened_again_and_nothing_of_it_is_left(
    store: Store, folder: Path
) -> None:
    store.put_items([ITEM])
    for _ in range(3):
        with pytest.raises(DatabaseDown, match="went away"):
            store.read("SELECT pg_terminate_backend(pg_backend_pid())")
        assert not store.healthy
        store.open()
        assert store.items() == [ITEM]
    opened = [file.path for file in psutil.Process().open_files()]
    assert opened.count(os.fspath(folder.resolve() / STORE / "users.lock")) == 1
    store.close()
    assert not (folder / STORE / "cluster" / "postmaster.pid").exists()


def test_a_slow_count_keeps_nobody_waiting(store: Store) -> None:
    begun, counted = threading.Event(), threading.Event()

    def count() -> None:
        begun.set()
        assert store.read_aside("SELECT 1 FROM pg_sleep(%s)", [1]) == [(1,)]
        counted.set()

    counting = threading.Thread(target=count)
    counting.start()
    begun.wait()
    store.put_items([ITEM])
    assert not counted.is_set()
    counting.join()
    assert counted.is_set()


def test_events_are_read_some_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [GivenEvent(f"U{n % 2}", Past("N1", 4.0, 9_000 - n)) for n in range(5)]
    store.put_events(given)
    store.put_events(given[:1])  # told again: it stays where it was
    for at_once in range(1, 7):
        monkeypatch.setattr(database, "EVENTS_AT_ONCE", at_once)
        assert list(store.given_events()) == given
    for user in ("U0", "U1"):
        store.drop_events(user, None, None)
    assert list(store.given_events()) == []


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PING_SECONDS", 0.1)
    monkeypatch.setattr(connection, "LOOK_SECONDS", 2)


@contextmanager
def hanging(folder: Path) -> Iterator[None]:
    """Stop all processes of the store's PostgreSQL while this lasts."""
    server = psutil.Process(int(status_lines(folder / STORE / "cluster")[0]))
    processes = [server, *server.children()]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def wait_until(store: Store, *, healthy: bool, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while store.healthy != healthy:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.usefixtures("looks_often")
def test_a_database_that_hangs_is_away_until_it_goes_on(store: Store, folder: Path) -> None:
    store.keep_open()
    with hanging(folder):
        wait_until(store, healthy=False, seconds=5)
        begun = time.monotonic()
        with pytest.raises(DatabaseDown, match="away"):
            store.put_items([ITEM])
        assert time.monotonic() - begun < 0.5
    wait_until(store, healthy=True, seconds=20)
    store.put_items([ITEM])
    assert store.items() == [ITEM]


@pytest.mark.slow
@pytest.mark.usefixtures("looks_often")
def test_a_database_that_hangs_is_away_while_a_statement_waits_for_it(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "STATEMENT_SECONDS", 4.0)
    store.open()  # with that limit
    store.keep_open()
    said: list[str] = []

    def ask() -> None:
        try:
            store.read("SELECT pg_sleep(1)")
        except DatabaseDown as error:
            said.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.3)
    with hanging(folder):
        wait_until(store, healthy=False, seconds=5)
        asking.join(10)
        assert said == ["the database went away"]


@pytest.mark.usefixtures("looks_often")
def test_a_slow_statement_is_not_taken_for_a_database_that_hangs(store: Store) -> None:
    store.keep_open()
    before = store.read(PID)
    store.read("SELECT pg_sleep(3)")
    assert store.healthy
    assert store.read(PID) == before


def test_a_connection_string_says_itself_how_it_is_kept_alive(store: Store, folder: Path) -> None:
    with (
        postgres(folder / STORE) as address,
        session.open_session(f"{address} keepalives_idle=99") as opened,
    ):
        said = opened.info.get_parameters()
    assert (said["keepalives_idle"], said["keepalives_interval"]) == ("99", "5")
