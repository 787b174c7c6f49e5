"""The asset `user_lists` on a published set: as the server answers, and after a kill."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from beauty_rec.artifacts import atomic_path
from beauty_rec.orchestration.assets.lists import user_lists
from beauty_rec.orchestration.stage.stage import for_settings
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.orchestration.storage.io_managers import io_managers
from beauty_rec.orchestration.storage.resources import resources_of
from beauty_rec.recommender.online.experiments.file import AnswerSettings
from beauty_rec.recommender.online.people import Past
from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.recommender.online.stock.states import ItemState
from beauty_rec.serving import lists
from beauty_rec.serving.published.release import promote
from beauty_rec.serving.state.database import STORE, GivenEvent, Store
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import Settings, child_environment
from beauty_rec_tests.recommender.served_set import data, encoder

__all__ = ["data", "encoder"]

BY_HAND = """
import sys
from pathlib import Path
from beauty_rec.settings import Settings
from beauty_rec_tests.orchestration.test_user_lists import ON, run
run(Settings(data_dir=Path(sys.argv[1]), lists=ON))
"""
ON = {"enabled": True, "k": 4, "chunk": 25}


@pytest.fixture
def shop(data: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    return folder


def run(settings: Settings) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Materialize the asset with a real instance; return its table and its figures."""
    resources = resources_of(settings)
    with open_instance(settings.data_dir) as instance:
        result = dg.materialize(
            for_settings([user_lists], settings),
            instance=instance,
            resources={"settings": settings, **io_managers(resources["store"]), **resources},
        )
        event = result.asset_materializations_for_node("user_lists")[0]
    figures = {name: value.value for name, value in event.metadata.items()}
    return pl.read_parquet(settings.data_dir / "processed" / "user_lists.parquet"), figures


def run_killed(settings: Settings, monkeypatch: pytest.MonkeyPatch, chunks: int) -> None:
    """Materialize the asset until ``chunks`` chunks are written."""

    def dies(path: Path) -> AbstractContextManager[Path]:
        if len(list(path.parent.glob("*.parquet"))) == chunks:
            raise KeyboardInterrupt
        return atomic_path(path)

    with monkeypatch.context() as patch:
        patch.setattr(lists, "atomic_path", dies)
        with pytest.raises(KeyboardInterrupt):
            run(settings)


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The lists of the same set in another folder, by a run that ended."""
    folder = tmp_path_factory.mktemp("undisturbed") / "data"
    shutil.copytree(data, folder)
    return run(Settings(data_dir=folder, lists=ON))[0]


@contextmanager
def store_of(folder: Path) -> Iterator[Store]:
    store = Store(folder / STORE, None)
    store.open()
    try:
        yield store
    finally:
        store.close()


def test_lists_are_what_the_server_answers(shop: Path) -> None:
    settings = Settings(data_dir=shop, lists=ON)
    found, figures = run(settings)
    assert dict(found.schema) == lists.SCHEMA
    with Engine.open(settings) as engine:
        users = list(engine.shop.people.users)
        assert found["user_id"].unique(maintain_order=True).to_list() == users
        assert figures["users"] == len(users)
        at = pl.Series([engine.shop.manifest.created_at]).str.to_datetime().dt.epoch("ms")[0]
        for user in users[::40]:
            own = found.filter(user_id=user)
            answer = engine.recommend([RecommendRequest(user_id=user, k=4, at=at)])[0]
            assert own["parent_asin"].to_list() == [i["parent_asin"] for i in answer["items"]]
            assert own["score"].to_list() == [i["score"] for i in answer["items"]]
            assert own["rank"].to_list() == [1, 2, 3, 4]
            assert set(own["version"]) == {answer["version"]}
            seen = {event.parent_asin for event in engine.shop.past(user, None) or []}
            assert not seen & set(own["parent_asin"])


def test_off_is_an_empty_table_of_the_same_columns(shop: Path) -> None:
    found, figures = run(Settings(data_dir=shop))
    assert found.is_empty()
    assert dict(found.schema) == lists.SCHEMA
    assert figures["users"] == 0


@pytest.mark.slow
def test_a_run_goes_on_where_another_ended(
    shop: Path, undisturbed: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=shop, lists=ON)
    run_killed(settings, monkeypatch, 3)
    found, figures = run(settings)
    assert figures["users_kept"] == 75
    assert found.equals(undisturbed)
    assert not (shop / "cache" / "user_lists").exists()
    _, other = run(Settings(data_dir=shop, lists={**ON, "k": 5}))
    assert other["users_kept"] == 0


def test_who_is_forgotten_meanwhile_is_in_no_list_and_moves_nobody(
    shop: Path, undisturbed: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=shop, lists=ON)
    leaves = undisturbed["user_id"][0]
    run_killed(settings, monkeypatch, 1)
    with store_of(shop) as store:
        store.forget(leaves)
    found, figures = run(settings)
    assert figures["users_kept"] == ON["chunk"] - 1
    assert found.equals(undisturbed.filter(pl.col("user_id") != leaves))


@pytest.mark.slow
def test_what_changed_since_the_kill_is_in_all_lists(
    shop: Path, undisturbed: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("")
    settings = Settings(data_dir=shop, lists=ON, serve={"rules": rules})
    first, (item, second) = undisturbed["user_id"][0], undisturbed["parent_asin"][:2].to_list()

    run_killed(settings, monkeypatch, 3)
    with store_of(shop) as store:
        store.put_events([GivenEvent(first, Past(item, 5.0, 1_600_000_000_000))])
    found, figures = run(settings)
    assert figures["users_kept"] == 2 * ON["chunk"]  # the user's own is made anew
    assert item not in found.filter(user_id=first)["parent_asin"].to_list()
    others = pl.col("user_id") != first
    assert found.filter(others).equals(undisturbed.filter(others))

    run_killed(settings, monkeypatch, 3)
    with store_of(shop) as store:
        store.put_states({item: ItemState(hidden=True)})
    found, figures = run(settings)
    assert figures["users_kept"] == 0
    assert item not in found["parent_asin"].to_list()

    run_killed(settings, monkeypatch, 3)
    rules.write_text(f'[[rules]]\nname = "gone"\ndo = "exclude"\nitems = ["{second}"]\n')
    found, figures = run(settings)
    assert figures["users_kept"] == 0
    assert second not in found["parent_asin"].to_list()

    run_killed(settings, monkeypatch, 3)
    promote(shop / "serving", None, AnswerSettings(order="popular"), "promoted by hand")
    ordered, figures = run(settings)
    assert figures["users_kept"] == 0
    assert not ordered["parent_asin"].equals(found["parent_asin"])


@pytest.mark.faults
def test_after_kill_9_a_run_goes_on(shop: Path, undisturbed: pl.DataFrame) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BY_HAND, str(shop)],
        env=child_environment(PYTHONPATH=os.pathsep.join(sys.path)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not list((shop / "cache").glob("user_lists/*/[0-9]*.parquet")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    found, figures = run(Settings(data_dir=shop, lists=ON))
    assert int(str(figures["users_kept"])) > 0
    assert found.equals(undisturbed)
