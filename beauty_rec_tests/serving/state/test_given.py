"""Items that came while serving: made once, found after every restart and switch."""

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from fastapi.testclient import TestClient

from beauty_rec.corpus.intake.given import contents_of, taken_path, with_items
from beauty_rec.corpus.intake.ingest import ingest_items
from beauty_rec.recommender.online.requests import NewEvent, NewItem, RecommendRequest
from beauty_rec.recommender.online.search import SearchQuestion
from beauty_rec.recommender.online.stock.filters import Filter
from beauty_rec.recommender.online.stock.new_items import add_rows, is_taken_in, make_rows
from beauty_rec.recommender.online.stock.states import ItemState
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.serving.http.app import create_app
from beauty_rec.serving.state import connection, live_shop
from beauty_rec.serving.state import given as module
from beauty_rec.serving.state.connection import DatabaseDown
from beauty_rec.serving.state.database import Store
from beauty_rec.serving.state.engine import Engine
from beauty_rec.serving.state.taking import take
from beauty_rec.settings import Settings
from beauty_rec.verified import nothing_kept
from beauty_rec_tests.recommender.synthetic_set import Size, frames_of, publish_synthetic

ITEMS = [NewItem(parent_asin=f"N{i}", title=f"A walnut soap, number {i}") for i in range(40)]
SMALL = Size(items=40, events=300, seed=1)


@pytest.fixture(scope="module")
def folder(encoder: TextEncoder) -> Iterator[Path]:
    # Not tmp_path: a second pytest would close its parents to the user that root's server runs as.
    made = Path(tempfile.mkdtemp(prefix="beauty-rec-given-"))
    publish_synthetic(made, SMALL, encoder, encode=True)
    with Engine.open(Settings(data_dir=made)) as engine:
        engine.add_items(ITEMS)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def made_again(*_: Any) -> Any:
    raise AssertionError("it was made again")


def test_a_start_makes_nothing_that_was_made_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "make_rows", made_again)
    with Engine.open(Settings(data_dir=folder)) as engine:
        assert engine.waiting_items == 0
        assert engine.item("N39")["title"] == "A walnut soap, number 39"
        found = engine.search([SearchQuestion("A walnut soap, number 7", 40)])[0]["items"]
        assert {hit["parent_asin"] for hit in found} & {item.parent_asin for item in ITEMS}
        assert len(engine.shop.space) == SMALL.items + len(ITEMS)


def test_what_could_not_be_read_is_read_at_the_next_look(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, items = [True], Store.items

    def first_busy(store: Store) -> Any:
        if busy:
            busy.pop()
            raise DatabaseDown("the database has been busy for too long")
        return items(store)

    monkeypatch.setattr(Store, "items", first_busy)
    monkeypatch.setattr(connection, "PING_SECONDS", 0.1)
    engine = Engine(Settings(data_dir=folder))
    try:
        engine.store.keep_open()
        end = time.monotonic() + 30
        while engine.ready:
            assert time.monotonic() < end, engine.ready
            time.sleep(0.05)
        engine.wait()
        assert not busy
        assert engine.item("N39")["title"] == "A walnut soap, number 39"
    finally:
        engine.close()


@pytest.mark.slow
def test_other_models_do_not_delay_the_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that was made is of these models: the server answers, and the items come later."""

    def slowly(*arguments: Any) -> Any:
        time.sleep(1)
        return make_rows(*arguments)

    def slowly_added(*arguments: Any) -> Any:
        time.sleep(0.2)
        return add_rows(*arguments)

    monkeypatch.setattr(module, "make_rows", slowly)
    monkeypatch.setattr(live_shop, "add_rows", slowly_added)
    monkeypatch.setattr(module, "maker", lambda *_: "others")
    engine = Engine(Settings(data_dir=folder))
    try:
        engine.store.open()
        assert engine.ready == []
        assert engine.waiting_items == len(ITEMS)
        assert engine.search([SearchQuestion("soap", 3)])[0]["items"]
        deadline = time.monotonic() + 30
        while engine.waiting_items:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert engine.item("N39")["title"] == "A walnut soap, number 39"
    finally:
        engine.close()


def test_a_replacement_takes_no_new_row(folder: Path) -> None:
    with Engine.open(Settings(data_dir=folder)) as engine:
        rows = len(engine.shop.space)
        for turn in range(5):
            item = NewItem(parent_asin="N3", title=f"A cedar balm, try {turn}", price=3.0 + turn)
            engine.add_items([item])
        assert len(engine.shop.space) == rows
        assert len(engine.shop.catalogue.added) == len(ITEMS)
        assert engine.item("N3")["title"] == "A cedar balm, try 4"
        assert engine.item("N3")["price"] == 7.0
        assert engine.item("N4")["title"] == "A walnut soap, number 4"
        hits = engine.search([SearchQuestion("[Title] A cedar balm, try 4", 80)])[0]["items"]
        assert [hit["title"] for hit in hits].count("A cedar balm, try 4") == 1
        assert "A walnut soap, number 3" not in [hit["title"] for hit in hits]
        engine.add_items([ITEMS[3]])


def as_the_file_has_it(row: int, **other: Any) -> NewItem:
    """An item of the set with all that its file says of it, but for ``other``."""
    names = ("parent_asin", "title", "main_category", "store", "price", "features")
    said = frames_of(SMALL).items.select(names).row(row, named=True)
    return NewItem(**{**said, **other})


def test_what_the_pipeline_has_taken_in_is_the_sets_own(folder: Path) -> None:
    same, other = as_the_file_has_it(5), as_the_file_has_it(6, title="Another title")
    with Engine.open(Settings(data_dir=folder)) as engine:
        own = engine.item(same.parent_asin)
        engine.add_items([same, other])
    with Engine.open(Settings(data_dir=folder)) as engine:
        assert engine.waiting_items == 0
        assert len(engine.shop.space) == SMALL.items + len(ITEMS) + 1
        assert engine.item(same.parent_asin)["rating_number"] == own["rating_number"] is not None
        assert engine.item(other.parent_asin)["title"] == "Another title"


def test_an_update_of_any_field_outlives_restarts_and_newer_sets(
    folder: Path, encoder: TextEncoder
) -> None:
    updates: list[dict[str, Any]] = [
        {"categories": ["Rare", "Rarer"]},
        {"description": "It smells of cedar."},
        {"details": {"Scent": "cedar"}},
        {"features": ["1 ml", "with a brush"]},
        {"main_category": "Gifts"},
        {"store": "A House of Its Own"},
        {"price": 0.5},
        {"attributes": {"scent": ["cedar", "rose"]}},
    ]
    items = [as_the_file_has_it(10 + n, **update) for n, update in enumerate(updates)]
    with Engine.open(Settings(data_dir=folder)) as engine:
        engine.add_items(items)
    rarer = RecommendRequest(filters=Filter(categories="Rarer"))

    def all_there(engine: Engine) -> bool:
        cards = engine.shop.catalogue.added.values()
        assert engine.item(items[0].parent_asin)["categories"] == ["Rare", "Rarer"]
        (found,) = engine.recommend([rarer])
        assert [item["parent_asin"] for item in found["items"]] == [items[0].parent_asin]
        return {item.parent_asin for item in items} <= {card["parent_asin"] for card in cards}

    with Engine.open(Settings(data_dir=folder)) as engine:
        assert all_there(engine)
        shutil.rmtree(folder / "synthetic")  # the artifacts; the set has links of its own
        publish_synthetic(folder, replace(SMALL, events=250), encoder, encode=True)
        assert engine.look() is True  # a newer set, made of the same file
        assert all_there(engine)


def test_the_night_takes_an_item_in_as_it_was_given(folder: Path, tmp_path: Path) -> None:
    full = NewItem(
        parent_asin="FULL",
        title="A balm <b>of</b> cedar &amp; rose",
        main_category="Gifts",
        store="House 3",
        price=12.34,
        categories=["Beauty", "Rare " * 50],
        features=["1 ml", "with a brush"],
        description="It smells\nof cedar.",
        details={"Scent": "cedar", "Age": "für alle"},
        attributes={"category": "soap", "concern": ["frizz", "redness"]},
    )
    settings = Settings(data_dir=folder)
    with Engine.open(settings) as engine:
        engine.add_items([full])
        with nothing_kept():
            told = take(settings, "items")
        taken = taken_path(folder, "items")
        assert told
        assert not taken.exists()
        assert take(settings, "items") == told == taken.read_text()
    ingest_items(taken, tmp_path / "rows.parquet", tmp_path / "refused.parquet", settings.corpus)
    rows = with_items(frames_of(SMALL).items, pl.read_parquet(tmp_path / "rows.parquet"), {})
    contents = dict(zip(rows["parent_asin"], contents_of(rows), strict=True))
    assert contents["FULL"] == full.content
    assert {item.content for item in ITEMS} <= set(contents.values())


def test_a_set_that_does_not_tell_what_it_was_made_of_took_nothing_in(folder: Path) -> None:
    with Engine.open(Settings(data_dir=folder)) as engine:
        base, same = engine.shop, as_the_file_has_it(7)
        older = replace(base, catalogue=replace(base.catalogue, contents=None))
        assert (is_taken_in(base, same), is_taken_in(older, same)) == (True, False)


def test_how_many_items_wait_is_known_without_a_look_at_each(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Engine.open(Settings(data_dir=folder)) as engine:
        engine.add_items([as_the_file_has_it(5)])
    with Engine.open(Settings(data_dir=folder)) as engine:
        monkeypatch.setattr(live_shop, "is_taken_in", made_again)
        assert (engine.waiting_items, engine.is_whole) == (0, True)
        assert engine.look_at_rules() is False
        client = TestClient(create_app(engine), base_url="http://127.0.0.1")
        assert client.get("/readyz").json()["waiting_items"] == 0


def test_a_switch_has_the_items_from_its_first_answer(folder: Path, encoder: TextEncoder) -> None:
    with Engine.open(Settings(data_dir=folder)) as engine:
        publish_synthetic(folder, Size(items=40, events=300, seed=2), encoder, encode=False)
        assert engine.look() is True
        assert engine.waiting_items == 0
        assert engine.item("N39")["title"] == "A walnut soap, number 39"


@pytest.mark.slow
def test_others_write_while_rows_are_made_and_a_switch_has_them_made_again(
    folder: Path, encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    made_for: list[str] = []

    def slowly(shop: Any, items: Any, settings: Any) -> Any:
        if items[0].parent_asin == "SLOW":
            made_for.append(shop.manifest.set)
            begun.set()
            assert go_on.wait(60)
        return make_rows(shop, items, settings)

    monkeypatch.setattr(module, "make_rows", slowly)
    with Engine.open(Settings(data_dir=folder)) as engine:
        before = engine.shop.manifest.set
        slow = NewItem(parent_asin="SLOW", title="A slow soap of alder")
        adding = threading.Thread(target=engine.add_items, args=[[slow]])
        adding.start()
        assert begun.wait(60)
        engine.add_events([NewEvent(user_id="WRITES", parent_asin="N4", rating=4.0)])
        assert engine.set_state("N4", price=2.5)["price"] == 2.5
        publish_synthetic(folder, Size(items=40, events=300, seed=3), encoder, encode=False)
        assert engine.look() is True
        assert adding.is_alive()
        go_on.set()
        adding.join()
        assert made_for == [before, engine.shop.manifest.set]
        assert engine.item("SLOW")["title"] == "A slow soap of alder"
        assert engine.item("N4")["price"] == 2.5
        hits = engine.search([SearchQuestion("A slow soap of alder", 80)])[0]["items"]
        assert "SLOW" in {hit["parent_asin"] for hit in hits}


def test_what_the_set_hides_and_the_shop_shows_stays_shown_when_it_is_given_anew(
    folder: Path,
) -> None:
    with Engine.open(Settings(data_dir=folder)) as engine:
        base = engine._base
        row, name = 20, base.space.ids[20]
        item = NewItem(parent_asin=name, title="A soap of alder")
        hidden = base.catalogue.hidden.copy()
        hidden[row] = True  # as --hidden-items has it
        listed = replace(base.catalogue, listed=np.array([row]), hidden=hidden)
        engine.change_to(replace(base, catalogue=listed))
        assert engine.item(name)["hidden"] is True
        for said, kept in ((False, ItemState(hidden=False)), (True, None)):
            engine.set_state(name, hidden=said)
            engine.add_items([item])
            assert engine.item(name)["hidden"] is said  # withdrawn by the shop: as the set has it
            assert engine.store.states().get(name) == kept


def test_a_run_says_which_store_was_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nobody = {"dsn": "postgresql://shop:hunter22@127.0.0.1:1/items"}
    assert take(Settings(data_dir=tmp_path, item_index=nobody), "events") == ""
    (said,) = [record.getMessage() for record in caplog.records if "read anew" in record.msg]
    assert "(events) is not read anew" in said
    assert "127.0.0.1" in said
    assert "hunter22" not in said
