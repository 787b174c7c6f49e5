"""Items that came while serving: made once, found after every restart and switch."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beauty_rec.recommender.online.requests import NewItem
from beauty_rec.recommender.online.search import SearchQuestion
from beauty_rec.recommender.online.stock.new_items import add_rows, make_rows
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.serving.state import given as module
from beauty_rec.serving.state import live_shop
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import Settings
from beauty_rec_tests.recommender.synthetic_set import Size, publish_synthetic

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


def test_what_the_pipeline_has_taken_in_is_the_sets_own(folder: Path) -> None:
    with Engine.open(Settings(data_dir=folder)) as engine:
        own = engine.item(engine.shop.space.ids[5])
        same = {"title": own["title"], "store": own["store"], "price": own["price"]}
        engine.add_items([NewItem(parent_asin=own["parent_asin"], **same)])
        other = engine.item(engine.shop.space.ids[6])
        engine.add_items([NewItem(parent_asin=other["parent_asin"], title="Another title")])
    with Engine.open(Settings(data_dir=folder)) as engine:
        assert engine.waiting_items == 0
        assert len(engine.shop.space) == SMALL.items + len(ITEMS) + 1
        assert engine.item(own["parent_asin"])["summary"] == own["summary"]
        assert engine.item(other["parent_asin"])["title"] == "Another title"


def test_a_switch_has_the_items_from_its_first_answer(folder: Path, encoder: TextEncoder) -> None:
    with Engine.open(Settings(data_dir=folder)) as engine:
        publish_synthetic(folder, Size(items=40, events=300, seed=2), encoder, encode=False)
        assert engine.look() is True
        assert engine.waiting_items == 0
        assert engine.item("N39")["title"] == "A walnut soap, number 39"
