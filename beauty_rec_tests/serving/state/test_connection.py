"""The store's connection: what takes it away and what does not, with a real PostgreSQL."""

import os
import threading
from pathlib import Path

import psutil
import pytest

from beauty_rec.recommender.online.people import Past
from beauty_rec.serving.state import database
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
