"""A learned order is not answered without its model: that would be the order of the rows."""

from collections.abc import Mapping
from dataclasses import replace

import polars as pl
import pytest

from beauty_rec.recommender import orders as module
from beauty_rec.recommender.offline.lists import CandidateLists
from beauty_rec.recommender.offline.ordering import order_split
from beauty_rec.recommender.offline.split_asks import SplitAsks
from beauty_rec.recommender.online.experiments import arms
from beauty_rec.recommender.online.experiments.file import AnswerSettings, ExperimentError
from beauty_rec.recommender.online.sets.manifest import ManifestError
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.orders import Kind, Orders
from beauty_rec.serving.published.manifest import read_manifest
from beauty_rec.serving.state.engine import load_set
from beauty_rec.settings import Settings
from beauty_rec_tests.recommender.drawn_lists import drawn_lists
from beauty_rec_tests.recommender.synthetic_set import ORDERS

WEIGHTS: Mapping[Kind, Mapping[str, float]] = {
    "nothing": {"gbdt": 1.0},
    "text": {"gbdt": 0.5, "text_retriever": 1.0, "lexical": 0.3},
}
TREES = replace(ORDERS, weights={**ORDERS.weights, "gbdt": WEIGHTS})
SERVED = replace(TREES, served={"text": "gbdt"})
NO_LIBRARY = "no boosted trees: libgomp.so.1: cannot open shared object file"


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for user in (module, arms):
        monkeypatch.setattr(user, "unavailable", lambda: NO_LIBRARY)


def load(settings: Settings) -> Snapshot:
    root = settings.data_dir / "serving"
    return load_set(root, read_manifest(root), settings.encoder)


def test_a_set_that_serves_it_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Orders, "load", lambda _: SERVED)
    with pytest.raises(ManifestError, match=r"'gbdt' of the ask 'text'.*libgomp"):
        load(settings)
    monkeypatch.setattr(Orders, "load", lambda _: TREES)
    path = load(settings).path  # it only could serve it
    assert arms.ordered_path(path, AnswerSettings(order="gbdt")) is path


def test_the_lists_of_the_pipeline_are_not_made_of_it() -> None:
    asks = SplitAsks(CandidateLists.joined([drawn_lists(3, 4, 1)]), {}, pl.DataFrame())
    with pytest.raises(RuntimeError, match="libgomp"):
        order_split(asks, {}, None, SERVED, False)  # type: ignore[arg-type]  # it is not asked


def test_no_experiment_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | dict[str, str]] = ["gbdt", {"text": "gbdt"}]
    for order in asked:
        with pytest.raises(ExperimentError, match="libgomp"):
            arms.refuse_unknown_orders(TREES, AnswerSettings(order=order))
    arms.refuse_unknown_orders(TREES, AnswerSettings(order={"occasion": "reranked"}))
    monkeypatch.setattr(arms, "unavailable", lambda: None)
    arms.refuse_unknown_orders(TREES, AnswerSettings(order="gbdt"))
