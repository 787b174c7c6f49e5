"""What was deleted of a user leaves the store's files: at once, or with the next run."""

import threading
from pathlib import Path

import psycopg
import pytest

from beauty_rec.search.pgvector.server import postgres
from beauty_rec.serving.state import tables
from beauty_rec.serving.state.database import STORE, GivenEvent, Store
from beauty_rec.serving.state.taking import take
from beauty_rec.settings import Settings
from beauty_rec_tests.serving.state.test_store import EVENT, ITEM

LEAVES = "SOMEBODY WHO LEAVES"


@pytest.fixture(autouse=True)
def _events(store: Store) -> None:
    store.put_events([GivenEvent(LEAVES, EVENT), GivenEvent("V", EVENT)])


def is_in_files(folder: Path) -> bool:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return any(LEAVES.encode() in path.read_bytes() for path in files)


def test_a_table_in_use_is_left_to_the_next_run_and_nobody_waits(
    store: Store, folder: Path
) -> None:
    store.forget(LEAVES)
    found: list[bool] = []
    with postgres(folder / STORE) as dsn, psycopg.connect(dsn) as reader:
        reader.execute("SELECT 1 FROM serving_events")  # in use until the transaction ends
        scrubbing = threading.Thread(target=lambda: found.append(store.scrub()))
        scrubbing.start()
        store.put_items([ITEM])
        assert scrubbing.is_alive()
        scrubbing.join()
    assert found == [False]
    assert store.healthy
    assert is_in_files(folder)
    take(Settings(data_dir=folder), "forgotten")
    assert not is_in_files(folder)
    assert store.events() == {"V": [EVENT]}


def test_a_table_too_large_for_now_is_written_anew_by_the_next_run_alone(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "HELD_SECONDS", 0.001)
    assert store.drop_events(LEAVES, "ANOTHER ITEM", None) == 0
    assert store.is_scrubbed()
    assert store.drop_events(LEAVES, None, None) == 1
    assert store.scrub() is False
    assert is_in_files(folder)
    take(Settings(data_dir=folder), "forgotten")
    assert not is_in_files(folder)
    assert store.is_scrubbed()
    place = "SELECT pg_relation_filenode('serving_events')"
    before = store.read(place)
    take(Settings(data_dir=folder), "forgotten")
    assert store.read(place) == before  # nothing is owed: nothing was written anew
    monkeypatch.undo()
    store.forget("V")
    assert store.scrub() is True
    assert store.is_scrubbed()


def test_a_store_opens_while_a_table_is_written_anew(store: Store, folder: Path) -> None:
    with postgres(folder / STORE) as dsn, psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE serving_impressions")
        again = Store(folder / STORE, None)
        again.open()
        assert again.events() == {LEAVES: [EVENT], "V": [EVENT]}
        again.close()
