"""Servers beside one another on one store: the first has it, the next takes over."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from beauty_rec.recommender.online.requests import NewItem
from beauty_rec.recommender.online.stock.states import ItemState
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.search.pgvector.server import postgres
from beauty_rec.serving.state import connection
from beauty_rec.serving.state.connection import ELSEWHERE, READ_ONLY, DatabaseDown
from beauty_rec.serving.state.database import STORE, Store
from beauty_rec.serving.state.engine import Engine
from beauty_rec.serving.state.transfer import export_given
from beauty_rec.settings import ItemIndexSettings, Settings
from beauty_rec_tests.recommender.synthetic_set import Size, publish_synthetic
from beauty_rec_tests.serving.state.test_store import ITEM

MINE = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PING_SECONDS", 0.05)


@pytest.fixture
def published(encoder: TextEncoder) -> Iterator[Path]:
    # Not tmp_path: a second pytest would close its parents to the user that root's server runs as.
    made = Path(tempfile.mkdtemp(prefix="beauty-rec-servers-"))
    publish_synthetic(made, Size(items=40, events=300, seed=1), encoder, encode=False)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def wait_for(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_first_server_has_the_store_until_it_ends(folder: Path) -> None:
    reads: list[list[NewItem]] = []
    first = Store(folder / STORE, None)
    second = Store(folder / STORE, None, lambda: reads.append(second.items()))
    try:
        first.keep_open()
        wait_for(lambda: first.healthy)
        second.keep_open()
        wait_for(lambda: second.away == ELSEWHERE)
        assert not second.healthy
        with pytest.raises(DatabaseDown, match="another server"):
            second.put_items([])
        first.put_items([ITEM])
        command = Store(folder / STORE, None)  # as import and forget open it
        command.open()
        command.put_states({ITEM.parent_asin: ItemState(price=1.5)})
        command.close()
        assert reads == []
        first.close()
        wait_for(lambda: reads)
        assert reads == [[ITEM]]
        assert second.states() == {ITEM.parent_asin: ItemState(price=1.5)}
    finally:
        first.close()
        second.close()


def test_a_server_whose_connection_is_lost_keeps_others_out_again(folder: Path) -> None:
    opened: list[bool] = []
    store = Store(folder / STORE, None, lambda: opened.append(True))
    other = Store(folder / STORE, None)
    try:
        store.open()  # as for the rules: another server may have the store until it is kept
        assert store.read(MINE) == [(0,)]
        store.keep_open()
        assert store.healthy
        assert (store.read(MINE), len(opened)) == ([(1,)], 2)
        with pytest.raises(DatabaseDown, match="went away"):
            store.read("SELECT pg_terminate_backend(pg_backend_pid())")
        wait_for(lambda: len(opened) == 3)
        assert store.read(MINE) == [(1,)]
        other.keep_open()
        wait_for(lambda: other.away == ELSEWHERE)
    finally:
        other.close()
        store.close()


def test_a_second_server_answers_and_knows_all_when_it_takes_over(published: Path) -> None:
    settings = Settings(data_dir=published)
    first, second = Engine(settings), Engine(settings)
    name, other = first.shop.space.ids[:2]
    try:
        first.store.keep_open()
        wait_for(lambda: first.ready == [])
        second.store.keep_open()
        wait_for(lambda: "another server" in " ".join(second.ready))
        first.set_state(name, hidden=True)
        mark = first.forget("ann")
        assert mark["events"] == 0
        with pytest.raises(DatabaseDown):
            second.set_state(name, price=2.5)
        assert second.is_nobody("ann")  # no trace of anybody is kept there
        assert second.item(other)["version"]
        first.close()
        wait_for(lambda: second.ready == [])
        assert second.shop.forgotten.at("ann") is not None
        said = second.set_state(name, price=2.5)
        assert (said["hidden"], said["price"]) == (True, 2.5)
    finally:
        first.close()
        second.close()


def test_a_read_only_copy_keeps_nothing_elsewhere_either(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the settings of the folder that it was copied from, and their database."""
    store.put_items([ITEM])
    with postgres(folder / STORE) as dsn:
        settings = Settings(data_dir=folder, item_index=ItemIndexSettings(dsn=SecretStr(dsn)))
        # As the tests may be root's, who may write anywhere.
        monkeypatch.setattr(os, "access", lambda *_: False)
        copy = Store(folder / STORE, SecretStr(dsn))
        copy.keep_open()
        assert (copy.read_only, copy.healthy, copy.away) == (True, False, READ_ONLY)
        with pytest.raises(DatabaseDown, match="read-only"):
            copy.put_items([ITEM])
        assert len(list(export_given(settings))) == 1  # which is asked to read that database
        copy.close()
