"""Learned orders from candidates: folds see only their past, and a killed training goes on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from beauty_rec.artifacts import content_hash
from beauty_rec.items.vocabulary import PAD, UNKNOWN, Vocabulary
from beauty_rec.ranking import train as recipe
from beauty_rec.ranking.apply import GBDT, VOCABULARY, load_rankers
from beauty_rec.ranking.features.build import Candidates
from beauty_rec.ranking.features.knowledge import ItemKnowledge
from beauty_rec.ranking.features.spec import RETRIEVAL, FeatureSpec
from beauty_rec.ranking.fit import Asked, fit_rankers
from beauty_rec.ranking.reranker import Reranker
from beauty_rec.settings import VocabularySettings
from beauty_rec_tests.ranking import small_shop as shop
from beauty_rec_tests.training.kills import kill_in_call

EACH = 6


def _asked(until_ms: int | None, rows: slice) -> Asked:
    """Each event took its fifth candidate; the last one (e4) took none of them."""
    candidates = shop.candidates(each=EACH)
    events = np.arange(len(shop.events()))[rows]
    kept = np.flatnonzero(np.isin(candidates.query_row, events))
    labels = (kept % EACH == 4) & (candidates.query_row[kept] < 4)
    part = candidates.take(kept)
    mine = Candidates(part.query_row - events[0], part.items, part.retrieval)
    return Asked(until_ms, shop.queries()[rows], mine, labels.astype(np.float32))


def _fit(
    target: Path, moments: list[int], checkpoints: Path | None = None, **changed: object
) -> FeatureSpec:
    def attributes_before(moment: int) -> pl.DataFrame:
        moments.append(moment)
        return shop.attributes()

    changed = {"negatives": None, "epochs": 2, "gbdt": False, **changed}
    changed = {"trial_seeds": 1, "trial_epochs": 1, **changed}
    settings = shop.SETTINGS.model_copy(update=changed)
    words = shop.vocabulary()
    knowledge = ItemKnowledge(
        shop.attributes(),
        attributes_before,
        shop.items(),
        shop.reviews(),
        shop.profiles(),
        words,
        FeatureSpec.layout(words, shop.profiles(), shop.reviews(), settings),
        settings,
    )
    fit_rankers(
        knowledge,
        [_asked(13 * shop.DAY, slice(0, 2)), _asked(14 * shop.DAY, slice(2, 5))],
        _asked(None, slice(0, 5)),
        np.random.default_rng(0).normal(size=(len(words), 4)).astype(np.float32),
        target,
        checkpoints,
    )
    return FeatureSpec.load(target / "features.json")


def test_each_fold_reads_the_attributes_of_its_moment(tmp_path: Path) -> None:
    moments: list[int] = []
    _fit(tmp_path, moments)
    assert moments == [13 * shop.DAY, 14 * shop.DAY]


def test_statistics_are_of_the_candidates_that_are_learned_from(tmp_path: Path) -> None:
    spec = _fit(tmp_path, [])
    candidates = shop.candidates(each=EACH)
    learned = candidates.retrieval[candidates.query_row < 4]  # e4 took none of its candidates
    for column, name in enumerate(RETRIEVAL):
        place = spec.raw.index(name)
        assert spec.mean[place] == pytest.approx(learned[:, column].mean(), rel=1e-5)
        assert spec.std[place] == pytest.approx(learned[:, column].std(), rel=1e-5)


@pytest.mark.parametrize("bins", [0, 4])
def test_what_was_fitted_is_read_again_with_its_trees(tmp_path: Path, bins: int) -> None:
    _fit(tmp_path, [], gbdt=True, ablation=False, dense_bins=bins)
    assert (tmp_path / GBDT).exists()
    models, builder = load_rankers(tmp_path)
    assert set(models) == {"reranked", "gbdt"}
    assert isinstance(models["reranked"], Reranker)
    assert (models["reranked"].model.bins is not None) == (bins > 0)
    features = builder.build(shop.queries(), shop.candidates())
    for model in models.values():
        found = model.probabilities(features)
        assert found.shape == (len(features.raw),)
        assert ((found >= 0) & (found <= 1)).all()
    empty = builder.build(shop.queries(), shop.candidates().take(np.zeros(0, np.int64)))
    assert all(len(model.probabilities(empty)) == 0 for model in models.values())


def test_a_reranker_from_before_prices_could_be_left_out_reads_them_on(tmp_path: Path) -> None:
    _fit(tmp_path, [], ablation=False, price=True)
    models, builder = load_rankers(tmp_path)
    features = builder.build(shop.queries(), shop.candidates())
    spec = json.loads((tmp_path / "features.json").read_text())
    assert spec.pop("price")
    (tmp_path / "features.json").write_text(json.dumps(spec))
    document = json.loads((tmp_path / "reranker.json").read_text())
    del document["settings"]["price"]
    (tmp_path / "reranker.json").write_text(json.dumps(document))
    old, reader = load_rankers(tmp_path)
    again = reader.build(shop.queries(), shop.candidates())
    assert "log_price" in reader.spec.raw
    np.testing.assert_array_equal(again.raw, features.raw)
    np.testing.assert_array_equal(
        old["reranked"].probabilities(again), models["reranked"].probabilities(features)
    )


def test_a_reranker_is_asked_with_the_ids_of_today(tmp_path: Path) -> None:
    _fit(tmp_path, [], ablation=False)
    own = shop.vocabulary()
    later = shop.attributes().with_columns(
        category=pl.lit("jumpsuit"), context=pl.Series([["gala"]] * 10)
    )
    today = Vocabulary.build(later, own, VocabularySettings(min_count=1, max_re=5))
    assert len(today) == len(own) + 2
    models, builder = load_rankers(tmp_path, today)
    trained, plain = load_rankers(tmp_path)
    grown, kept = models["reranked"], trained["reranked"]
    assert isinstance(grown, Reranker)
    assert isinstance(kept, Reranker)
    assert torch.equal(grown.model.table[: len(own)], kept.model.table), "bit for bit"
    assert len(grown.model.table) == grown.rows == len(builder.vocabulary) == len(today)

    features = builder.build(shop.queries(), shop.candidates())
    unknown = plain.build(shop.queries(), shop.candidates())
    np.testing.assert_array_equal(
        grown.probabilities(features), kept.probabilities(unknown), "nothing new is in them"
    )
    # A jumpsuit for a gala is as a thing of an unknown kind, for no occasion.
    new, old = features.item_ids.copy(), unknown.item_ids.copy()
    category = today.std_fields.index("category")
    new[:, category], old[:, category] = today.id_of("category", "jumpsuit"), UNKNOWN
    new[:, -1], old[:, -1] = today.id_of("context", "gala"), PAD
    one = grown.probabilities(replace(features, item_ids=new))
    np.testing.assert_array_equal(one, kept.probabilities(replace(unknown, item_ids=old)))

    other = Vocabulary.build(later, None, VocabularySettings(min_count=1, max_re=5))
    models, builder = load_rankers(tmp_path, other)
    assert builder.vocabulary == own, "other ids: as it was trained"

    other.save(tmp_path / VOCABULARY)
    with pytest.raises(ValueError, match="another vocabulary"):
        load_rankers(tmp_path, other)


@pytest.mark.parametrize("at", [4, 2])
def test_a_killed_training_goes_on_wherever_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """In the second epoch of the served reranker, and in the trial without transfer."""
    _fit(tmp_path / "whole", [])
    calls = kill_in_call(monkeypatch, recipe, "_train_epoch", at)
    with pytest.raises(KeyboardInterrupt):
        _fit(tmp_path / "again", [], tmp_path / "kept")
    _fit(tmp_path / "again", [], tmp_path / "kept")
    assert len(calls) == 4 + 1, "no epoch but the killed one is done twice"
    assert content_hash(tmp_path / "again") == content_hash(tmp_path / "whole")
    assert not (tmp_path / "kept").exists()
