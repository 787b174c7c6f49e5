"""The rules' file at a start: it may name what was given before, and nothing that is not there."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from beauty_rec.recommender.online.requests import NewItem, RecommendRequest
from beauty_rec.recommender.online.rules.file import RulesError
from beauty_rec.recommender.online.stock.new_items import make_rows
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.serving.http.shops.shop import Shop
from beauty_rec.serving.state import given
from beauty_rec.serving.state.connection import Connection
from beauty_rec.serving.state.database import STORE
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import ItemIndexSettings, ServeSettings, Settings
from beauty_rec_tests.recommender.synthetic_set import Size, publish_synthetic

PINS = """
[[rules]]
name = "launch"
do = "pin"
place = 1
items = ["NEW1"]

[[rules]]
name = "its house"
do = "pin"
place = 2
filter = { store = "A House of Its Own" }
"""
UNKNOWN = r"line 2: rules\.0: no item 'NEW9' here"


@pytest.fixture(scope="module")
def folder(encoder: TextEncoder) -> Iterator[Path]:
    # Not tmp_path: a second pytest would close its parents to the user that root's server runs as.
    made = Path(tempfile.mkdtemp(prefix="beauty-rec-rules-"))
    publish_synthetic(made, Size(items=40, events=300, seed=1), encoder, encode=True)
    items = [
        NewItem(parent_asin="NEW1", title="A walnut soap"),
        NewItem(parent_asin="NEW2", title="A cedar balm", store="A House of Its Own"),
    ]
    with Engine.open(Settings(data_dir=made)) as engine:
        engine.add_items(items)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(PINS)
    return path


def settings_of(folder: Path, rules: Path, dsn: str | None = None) -> Settings:
    index = ItemIndexSettings(dsn=None if dsn is None else SecretStr(dsn))
    return Settings(data_dir=folder, serve=ServeSettings(rules=rules), item_index=index)


def first_two(engine: Engine) -> list[str]:
    (answer,) = engine.recommend([RecommendRequest(k=5)])
    return [item["parent_asin"] for item in answer["items"][:2]]


def test_rules_of_given_items_are_at_work_from_the_start(folder: Path, rules: Path) -> None:
    engine = Engine(settings_of(folder, rules))  # as a server does, which opens no store before
    try:
        assert first_two(engine) == ["NEW1", "NEW2"]
        assert engine.look_at_rules() is False
        assert engine.rules.refused is None
    finally:
        engine.close()


def test_each_of_several_shops_has_what_it_was_given(
    folder: Path, rules: Path, encoder: TextEncoder
) -> None:
    with tempfile.TemporaryDirectory(prefix="beauty-rec-rules-") as other:
        publish_synthetic(Path(other), Size(items=40, events=300, seed=2), encoder, encode=False)
        given_to, bare = (
            Shop(name, lambda data=data: settings_of(data, rules))  # type: ignore[misc]
            for name, data in (("a", folder), ("b", Path(other)))
        )
        try:
            assert given_to.open() is True
            assert first_two(given_to.engine) == ["NEW1", "NEW2"]
            assert bare.open() is False
            assert "no item 'NEW1' here" in (bare.fault or "")
        finally:
            given_to.close()


def test_an_item_that_nobody_gave_stops_the_start(folder: Path, rules: Path) -> None:
    rules.write_text(PINS.replace("NEW1", "NEW9"))
    with pytest.raises(RulesError, match=UNKNOWN):
        Engine(settings_of(folder, rules))
    assert not (folder / STORE / "cluster" / "postmaster.pid").exists()  # nothing is left running


@pytest.mark.slow
def test_an_item_that_has_gone_since_stops_no_restart(rules: Path, encoder: TextEncoder) -> None:
    rules.write_text(PINS.replace("NEW1", "B010000003").split("\n\n")[0])
    with tempfile.TemporaryDirectory(prefix="beauty-rec-rules-") as made:
        settings = settings_of(Path(made), rules)
        publish_synthetic(Path(made), Size(items=40, events=300, seed=1), encoder, encode=False)
        with Engine.open(settings) as engine:
            assert first_two(engine)[0] == "B010000003"
            publish_synthetic(Path(made), Size(items=40, events=300, seed=2), encoder, encode=False)
            assert engine.look()
            assert engine.look_at_rules() is False
            refused = engine.rules.refused or ""
            assert "no item 'B010000003' here" in refused
        with Engine.open(settings) as engine:  # goes on as the one before would have
            assert (engine.rules.refused, engine.rules.refusals) == (refused, 1)
            assert len(first_two(engine)) == 2
        rules.write_text(PINS.replace("NEW1", "NEW9"))  # a file that never fitted
        with pytest.raises(RulesError, match=UNKNOWN):
            Engine(settings)


@pytest.mark.parametrize("away", ["database", "read-only"])
def test_what_cannot_be_told_does_not_stop_the_start(
    folder: Path, rules: Path, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = "postgresql://127.0.0.1:1/none" if away == "database" else None
    if away == "read-only":  # as the tests may be root's, who may write anywhere
        monkeypatch.setattr(Connection, "read_only", property(lambda _: True))
    settings = settings_of(folder, rules, dsn)
    engine = Engine(settings)
    try:
        assert "NEW1" not in first_two(engine)
        assert engine.look_at_rules() is False
        assert engine.rules.refused is None
        rules.write_text(PINS.replace("NEW1", "NEW9"))  # a change is held against what is known
        assert engine.look_at_rules() is False
        assert "no item 'NEW9' here" in (engine.rules.refused or "")
        assert len(engine.rules) == 2
    finally:
        engine.close()
    rules.write_text(PINS.replace("do =", "du ="))
    with pytest.raises(RulesError):
        Engine(settings)


def test_rules_of_items_whose_vectors_are_made_anew_wait_for_them(
    folder: Path, rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*arguments: Any) -> Any:
        time.sleep(1)
        return make_rows(*arguments)

    monkeypatch.setattr(given, "make_rows", slowly)
    monkeypatch.setattr(given, "maker", lambda *_: "others")
    rules.write_text(PINS + PINS.replace("NEW1", "NEW9").replace('name = "', 'name = "no '))
    engine = Engine(settings_of(folder, rules))
    try:
        assert engine.waiting_items == 2
        assert engine.look_at_rules() is False
        assert engine.rules.refused is None
        engine.wait()
        assert first_two(engine) == ["NEW1", "NEW2"]
        engine.look_at_rules()
        assert "no item 'NEW9' here" in (engine.rules.refused or "")  # now it can be told
        assert first_two(engine) == ["NEW1", "NEW2"]
    finally:
        engine.close()
