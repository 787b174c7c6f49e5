"""The store of impressions: older stores, a database that is away, and what is too old."""

import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from beauty_rec.recommender.online.events import EVENT_TYPES, LOOKS
from beauty_rec.recommender.online.people import Past
from beauty_rec.search.pgvector.server import postgres
from beauty_rec.serving.state.connection import DatabaseDown
from beauty_rec.serving.state.database import STORE, GivenEvent, Store
from beauty_rec.serving.state.shown import writer
from beauty_rec.serving.state.shown.impression import Impression, new_id
from beauty_rec.serving.state.shown.reading import NOTHING, read_shown, shown_version
from beauty_rec.serving.state.shown.writer import DAY_MS, ImpressionLog
from beauty_rec.serving.state.transfer import export_given, import_given
from beauty_rec.settings import Settings

BEFORE = """
    CREATE TABLE serving_items (
        id text PRIMARY KEY, record jsonb NOT NULL, changed_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE serving_events (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        user_id text NOT NULL, parent_asin text NOT NULL, time_ms bigint NOT NULL,
        rating real NOT NULL, UNIQUE (user_id, parent_asin, time_ms));
    INSERT INTO serving_events (user_id, parent_asin, time_ms, rating)
        VALUES ('U', 'N1', 1700000000000, 4);
"""
"""A store as the version before types made it."""


def impression(time_ms: int, user: str = "U") -> Impression:
    return Impression(
        new_id(time_ms),
        time_ms,
        user,
        "recommend",
        "a set",
        "default",
        "fused",
        ["N1"],
        ["popular"],
    )


def wait_for(holds: Any, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_a_store_of_before_goes_on_and_is_carried_elsewhere(folder: Path) -> None:
    with postgres(folder / STORE) as dsn, psycopg.connect(dsn) as connection:
        connection.execute(BEFORE)
    settings = Settings(data_dir=folder)
    assert shown_version(settings) == NOTHING
    same_time = Past("N1", 5.0, 1_700_000_000_000, "click")
    for _ in range(2):  # a second opening finds all there
        store = Store(folder / STORE, None)
        store.open()
        assert store.events()["U"][0] == Past("N1", 4.0, 1_700_000_000_000, "rating")
        store.put_events([GivenEvent("U", same_time, "an-answer")])
        store.put_events([GivenEvent("U", same_time)])  # told again: what it is owed to stays
        store.close()
    lines = list(export_given(settings))
    assert len(lines) == 2
    other = settings.model_copy(update={"data_dir": folder / "elsewhere"})
    assert import_given(other, lines) == (0, 2)
    assert list(export_given(other)) == lines
    assert import_given(other, lines) == (0, 2)
    assert list(export_given(other)) == lines


def test_an_event_exported_before_types_is_the_rating_that_it_was(folder: Path) -> None:
    line = (
        '{"event": {"user_id": "U", "parent_asin": "N", "rating": 5.0, "timestamp": 1600000000000}}'
    )
    settings = Settings(data_dir=folder)
    import_given(settings, [line])
    [kept] = export_given(settings)
    assert '"type": "rating"' in kept


def test_impressions_wait_for_the_database_and_the_rest_is_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MOST_WAITING", 3)
    away = threading.Event()
    write = store.change

    def perhaps(*given: Any) -> None:
        if away.is_set():
            raise DatabaseDown("away")
        write(*given)

    monkeypatch.setattr(store, "change", perhaps)
    log = ImpressionLog(store, 90, lambda: 7)
    now = int(time.time() * 1000)
    given = [impression(now + number) for number in range(5)]
    away.set()
    log.start()
    for one in given:
        log.put(one)
    time.sleep(3 * writer.BEHIND_SECONDS)
    assert (len(log), log.written.dropped) == (3, 2)
    assert log.find([given[0].recommendation_id])  # it is known while it waits
    away.clear()
    wait_for(lambda: log.written.kept == 3)
    log.close()
    found = log.find([one.recommendation_id for one in given])
    assert list(found.values()) == given[:3]


def test_impressions_that_wait_for_their_table_keep_no_event_waiting(
    store: Store, folder: Path
) -> None:
    now = int(time.time() * 1000)
    log = ImpressionLog(store, 90, lambda: 7)
    with postgres(folder / STORE) as dsn, psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE serving_impressions")  # as one that is written anew
        log.put(impression(now))
        log.start()
        for turn in range(3):
            began = time.monotonic()
            store.put_events([GivenEvent("U", Past("N1", 4.0, now + turn))])
            assert time.monotonic() - began < 2
            time.sleep(0.2)
        assert len(log) == 1
    wait_for(lambda: log.written.kept == 1)
    log.close()


def test_what_cannot_be_written_does_not_stop_the_rest(store: Store) -> None:
    log = ImpressionLog(store, 90, lambda: 7)
    now = int(time.time() * 1000)
    log.put(impression(now)._replace(user_id="nul \x00"))
    log.start()
    wait_for(lambda: log.written.dropped == 1)
    log.put(impression(now + 1))
    log.close()
    assert log.written.kept == 1


def test_old_impressions_are_deleted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MOST_AT_ONCE", 2)
    now = int(time.time() * 1000)
    old = [impression(now - 31 * DAY_MS + number) for number in range(5)]
    new = impression(now - 29 * DAY_MS)
    log = ImpressionLog(store, 30, lambda: 7)
    for one in [*old, new]:
        log.put(one)
    log.start()
    wait_for(lambda: store.read("SELECT recommendation_id FROM serving_impressions") == [(new[0],)])
    log.close()


def test_old_looks_are_deleted_and_what_was_chosen_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "EVENTS_AT_ONCE", 2)
    now = int(time.time() * 1000)
    events = [
        GivenEvent("U", Past("N1", 5.0, now - days * DAY_MS, kind))
        for days in (401, 399)
        for kind in EVENT_TYPES
    ]
    store.put_events(events)
    left = [one for one in events if one.event.type not in LOOKS or one in events[6:]]
    log = ImpressionLog(store, 90, lambda: 7, look_days=400)
    log.start()
    wait_for(lambda: list(store.given_events()) == left)
    log.close()
    assert len(left) == 9


def test_a_deletion_that_could_not_be_done_leaves_the_store_to_the_others_for_a_while(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def busy(*given: Any) -> Any:
        tries.append(given)
        raise DatabaseDown("a table is written anew")

    log = ImpressionLog(store, 90, lambda: 7)
    monkeypatch.setattr(store, "read", busy)
    for _ in range(3):
        log._tick()
    assert len(tries) == 1


def test_the_pipeline_reads_what_was_shown_and_knows_when_it_changed(
    store: Store, folder: Path
) -> None:
    settings = Settings(data_dir=folder)
    now = int(time.time() * 1000)
    one, other = impression(now), impression(now + 1, "V")
    log = ImpressionLog(store, 90, lambda: 7)
    versions = [shown_version(settings)]
    for do in (
        lambda: log.put(one),
        lambda: log.put(other),
        lambda: store.put_events([GivenEvent("U", Past("N1", 5.0, now, "click"), one[0])]),
        lambda: store.read("DELETE FROM serving_impressions WHERE user_id = 'V' RETURNING 1"),
    ):
        do()
        log._tick()
        versions.append(shown_version(settings))
    assert versions[0] == NOTHING
    assert len(set(versions)) == len(versions)
    store.put_events([GivenEvent("U", Past("N1", 5.0, now, "view"))])  # owed to no answer
    assert shown_version(settings) == versions[-1]
    shown = read_shown(settings)
    assert shown.impressions["items"].to_list() == [["N1"]]
    assert shown.impressions["catalogue_items"].to_list() == [7]
    assert shown.events.rows() == [(one[0], "N1", "click", now)]
