"""A server takes no database of another shop: not at its start, and not when it comes back."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from beauty_rec.recommender.online.requests import NewItem
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.search.pgvector.owner import FILE
from beauty_rec.search.pgvector.server import postgres
from beauty_rec.serving.http.shops.shop import Shop
from beauty_rec.serving.state.connection import AWAY, NOT_OURS, DatabaseDown
from beauty_rec.serving.state.database import Store
from beauty_rec.serving.state.engine import Engine
from beauty_rec.serving.state.shown.reading import read_shown
from beauty_rec.serving.state.taking import made_store
from beauty_rec.settings import ItemIndexSettings, Settings
from beauty_rec_tests.recommender.synthetic_set import Size, publish_synthetic
from beauty_rec_tests.serving.state.test_store import ITEM


@pytest.fixture(scope="module")
def published(encoder: TextEncoder) -> Iterator[Path]:
    # Not tmp_path: a second pytest would close its parents to the user that root's server runs as.
    made = Path(tempfile.mkdtemp(prefix="beauty-rec-owner-"))
    publish_synthetic(made / "staging", Size(items=40, events=300, seed=1), encoder, encode=False)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def settings_of(folder: Path, dsn: str) -> Settings:
    return Settings(data_dir=folder, item_index=ItemIndexSettings(dsn=SecretStr(dsn)))


def items_of(dsn: str, folder: Path) -> list[NewItem]:
    with made_store(settings_of(folder, dsn)) as store:
        return store.items()


def test_the_database_of_another_shop_is_refused_at_the_start(
    published: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres(folder / "server") as dsn:
        with made_store(settings_of(folder / "shop", dsn)) as store:
            store.put_items([ITEM])
        settings = settings_of(published / "staging", dsn)
        said = f"that of the shop in {folder}/shop: name another one for {published}/staging"
        with pytest.raises(RuntimeError, match=said), Engine.open(settings):
            pass
        with pytest.raises(RuntimeError, match=said):
            read_shown(settings)
        one_of_several = Shop("staging", lambda: settings)
        assert one_of_several.open() is False
        assert said in (one_of_several.fault or "")
        assert items_of(dsn, folder / "shop") == [ITEM]
        # A read-only copy has that database too, by its settings, and uses none.
        shutil.copy(folder / "shop" / FILE, published / "staging" / FILE)
        monkeypatch.setattr(os, "access", lambda *_: False)  # as the tests may be root's
        with Engine.open(settings) as engine:
            assert engine.ready == []
    (published / "staging" / FILE).unlink()


def test_a_copied_folder_does_not_take_its_original_s_database(
    published: Path, folder: Path
) -> None:
    with postgres(folder / "server") as dsn:
        with Engine.open(settings_of(published / "staging", dsn)) as engine:
            engine.set_state(engine.shop.space.ids[0], hidden=True)
        shutil.copytree(published / "staging", folder / "copy")
        with pytest.raises(RuntimeError, match=f"copy is a copy of {published}/staging"):
            Engine(settings_of(folder / "copy", dsn))
    (published / "staging" / FILE).unlink()


def test_a_database_that_comes_back_as_another_shop_s_is_left_alone(
    published: Path, folder: Path
) -> None:
    with postgres(folder / "server") as dsn:
        pass
    engine = Engine(settings_of(published / "staging", dsn))  # while it is away
    try:
        assert engine.ready != []
        with postgres(folder / "server"):
            with made_store(settings_of(folder / "shop", dsn)) as store:
                store.put_items([ITEM])
            with pytest.raises(DatabaseDown, match=f"that of the shop in {folder}/shop"):
                engine.store.open()
            assert not engine.store.healthy
            assert engine.ready == [f"{NOT_OURS}: writes wait, answers go on"]
            assert ITEM.parent_asin not in engine.shop.space.row_of
            with pytest.raises(DatabaseDown, match=NOT_OURS):
                engine.store.put_items([])
        with pytest.raises(DatabaseDown):
            engine.store.open()
        assert engine.ready == [f"{AWAY}: writes wait, answers go on"]
    finally:
        engine.close()


def test_no_table_is_made_in_the_database_of_another_shop(folder: Path) -> None:
    with postgres(folder / "server") as dsn:
        mine, other = (settings_of(folder / name, dsn) for name in ("shop", "other"))
        with made_store(mine) as store:
            store.read("DROP TABLE serving_rows")
        opened = Store.of(other)
        with pytest.raises(DatabaseDown):
            opened.open()
        opened.close()
        with psycopg.connect(dsn) as connection:
            found = connection.execute("SELECT to_regclass('serving_rows')").fetchone()
        assert found == (None,)
