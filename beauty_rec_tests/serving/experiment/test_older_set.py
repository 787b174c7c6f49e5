"""An older set that lacks an attribute of items which were given since."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from beauty_rec.recommender.online.experiments.file import AnswerSettings
from beauty_rec.recommender.online.requests import NewItem
from beauty_rec.recommender.online.stock.new_items import UnknownAttribute
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.serving.published.kept import EXPERIMENT
from beauty_rec.serving.published.release import rollback
from beauty_rec.serving.state import given
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import ServeSettings, Settings
from beauty_rec_tests.recommender.served_set import KEY
from beauty_rec_tests.recommender.synthetic_set import Size, publish_synthetic
from beauty_rec_tests.serving.experiment.two_sets import TwoSets, experiment

SIZE = Size(items=40, events=300, users=40, seed=101)
MADE_IN = NewItem(parent_asin="MADE", title="A walnut soap", attributes={"made_in": ["nancy"]})
PLAIN = NewItem(parent_asin="PLAIN", title="A cedar balm", attributes={"scent": "cedar"})


def _made_in(attributes: pl.DataFrame) -> pl.DataFrame:
    return attributes.with_columns(made_in=pl.Series([["nancy"]] * attributes.height))


@pytest.fixture(scope="module")
def sets(encoder: TextEncoder) -> Iterator[TwoSets]:
    # Not tmp_path: a second pytest would close its parents to the user that root's server runs as.
    made = Path(tempfile.mkdtemp(prefix="beauty-rec-older-"))
    serve = ServeSettings(api_key=KEY, requests_per_second=0)
    old = publish_synthetic(made, SIZE, encoder, encode=False)
    size = replace(SIZE, seed=201)
    new = publish_synthetic(made, size, encoder, encode=False, night=_made_in)
    yield TwoSets(old.set, new.set, Settings(data_dir=made, serve=serve))
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.slow
def test_what_an_older_set_has_no_field_for_is_left_out_of_it(
    sets: TwoSets, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Engine.open(sets.settings) as engine:
        sets.describe(experiment(sets))
        assert engine.look_at_experiment() is True
        engine.add_items([MADE_IN, PLAIN])
        running = engine.experiments.running
        assert running is not None
        beside = running.besides[sets.old].shop(engine.given)
        assert {"MADE", "PLAIN"} <= beside.space.row_of.keys()
        unknown = NewItem(parent_asin="N1", title="A soap", attributes={"made_by": "her"})
        with pytest.raises(UnknownAttribute, match=r"no attribute 'made_by' here.*made_in"):
            engine.add_items([unknown])
        several = NewItem(parent_asin="N1", title="A soap", attributes={"brand": ["a", "b"]})
        with pytest.raises(UnknownAttribute, match="'brand' takes one value"):
            engine.add_items([several])
        (sets.root / EXPERIMENT).unlink()
        engine.look_at_experiment()
        rollback(sets.root)
        assert engine.look() is True, engine.refused
        assert engine.shop.manifest.set == sets.old
        assert engine.item("MADE")["title"] == "A walnut soap"
        with pytest.raises(UnknownAttribute, match="no attribute 'made_in' here"):
            engine.add_items([MADE_IN])
    monkeypatch.setattr(given, "maker", lambda *_: "others")  # a start that has rows to make
    with Engine.open(sets.settings) as engine:
        assert engine.shop.manifest.set == sets.old
        assert engine.waiting_items == 0
        assert engine.item("PLAIN")["title"] == "A cedar balm"


def test_settings_of_a_set_that_cannot_be_changed_to_are_not_at_work(
    sets: TwoSets, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("no room for it")

    with Engine.open(sets.settings) as engine:
        monkeypatch.setattr(engine, "change_to", fails)
        before = engine.released
        other = AnswerSettings(diversity=0.9, explore=0.1)
        with pytest.raises(RuntimeError, match="no room"):
            engine.release(engine._plain, other)
        assert (engine.released, engine._explorer) == (before, None)
        monkeypatch.undo()
        engine.release(engine._plain, other)
        assert engine.released == other
        assert engine._explorer is not None
