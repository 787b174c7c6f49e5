"""Training: it learns, it resumes, it is calibrated, and it says when it cannot."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from beauty_rec.measures.metrics import auc, log_loss
from beauty_rec.ranking import train as recipe
from beauty_rec.ranking.draws import shuffled_batches, training_rows
from beauty_rec.ranking.examples import Examples
from beauty_rec.ranking.features.build import Features
from beauty_rec.ranking.features.spec import FeatureSpec
from beauty_rec.ranking.reranker import Reranker
from beauty_rec.ranking.train import Trained, train_reranker
from beauty_rec.settings import RankingSettings
from beauty_rec_tests.ranking import small_shop as shop
from beauty_rec_tests.training.kills import kill_in_call


def examples(seed: int, spec: FeatureSpec, queries: int = 40, each: int = 8) -> Examples:
    """Queries that choose the candidate of the highest tower score, mostly."""
    draw = np.random.default_rng(seed)
    made = shop.builder()
    user_row = np.repeat(np.arange(queries), each)
    raw = draw.normal(size=(len(user_row), len(spec.raw))).astype(np.float32)
    raw[draw.random(len(raw)) < 0.2, 2] = np.nan
    best = (raw[:, 0].reshape(queries, each) + 0.3 * draw.normal(size=(queries, each))).argmax(1)
    labels = np.zeros((queries, each), dtype=np.float32)
    labels[np.arange(queries), best] = 1
    labels[0] = 0
    user_ids = draw.integers(0, 9, (queries, sum(spec.user_fields.values()))).astype(np.int32)
    item_row = draw.integers(0, 10, len(user_row))
    features = Features(user_ids, made.table.sparse, user_row, item_row, raw)
    return Examples(features, labels.ravel(), spec)


def train(
    settings: RankingSettings,
    checkpoints: Path | None = None,
    seed: int = 0,
    flipped: bool = False,
) -> Trained:
    spec, words = shop.builder().spec, shop.vocabulary()
    train_set, valid = examples(1, spec), examples(2, spec)
    if flipped:
        train_set = replace(train_set, labels=train_set.labels[::-1].copy())
    tower = np.random.default_rng(seed).normal(size=(len(words), 4)).astype(np.float32)
    return train_reranker(train_set, valid, spec, len(words), settings, tower, checkpoints)


def weights(trained: Trained) -> dict[str, torch.Tensor]:
    return dict(trained.reranker.model.state_dict())


def same(one: Trained, other: Trained) -> bool:
    pairs = zip(weights(one).values(), weights(other).values(), strict=True)
    return one.history == other.history and all(torch.equal(a, b) for a, b in pairs)


def test_learns_what_decides_and_is_calibrated() -> None:
    spec = shop.builder().spec
    trained = train(shop.SETTINGS.model_copy(update={"epochs": 30}))
    held_out = examples(3, spec, queries=200)
    probabilities = trained.reranker.probabilities(held_out.features)
    assert auc(held_out.labels, probabilities) > 0.85
    assert log_loss(held_out.labels, probabilities) < 0.30
    assert probabilities.mean() == pytest.approx(held_out.labels.mean(), abs=0.03)


def test_a_killed_training_goes_on_as_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(shop.SETTINGS)
    calls = kill_in_call(monkeypatch, recipe, "_train_epoch", 3)
    with pytest.raises(KeyboardInterrupt):
        train(shop.SETTINGS, tmp_path)
    resumed = train(shop.SETTINGS, tmp_path)
    assert len(calls) == 3 + shop.SETTINGS.epochs - 2, "the two epochs done are not done again"
    assert same(whole, resumed)
    assert resumed.reranker.calibration == whole.reranker.calibration


def test_a_longer_training_goes_on_from_a_shorter_one(tmp_path: Path) -> None:
    train(shop.SETTINGS.model_copy(update={"epochs": 2}), tmp_path)
    assert same(train(shop.SETTINGS), train(shop.SETTINGS, tmp_path))


@pytest.mark.parametrize("change", ["settings", "embeddings", "labels"])
def test_a_checkpoint_of_other_settings_or_data_is_not_used(tmp_path: Path, change: str) -> None:
    other = shop.SETTINGS
    train(other.model_copy(update={"epochs": 2}), tmp_path)
    if change == "settings":
        other = other.model_copy(update={"learning_rate": 0.005})
    seed, flipped = int(change == "embeddings"), change == "labels"
    anew = train(other, seed=seed, flipped=flipped)
    assert same(anew, train(other, tmp_path, seed=seed, flipped=flipped))
    assert not same(anew, train(shop.SETTINGS))


def test_transfer_can_be_switched_off() -> None:
    plain = shop.SETTINGS.model_copy(update={"transfer": False})
    assert same(train(plain, seed=1), train(plain, seed=2))
    assert not same(train(shop.SETTINGS, seed=1), train(shop.SETTINGS, seed=2))


def test_an_id_that_nothing_was_learned_of_says_nothing() -> None:
    spec, ids = shop.builder().spec, len(shop.vocabulary())
    train_set = examples(1, spec)
    trained = train_reranker(train_set, examples(2, spec), spec, ids + 2, shop.SETTINGS)
    rows = trained.reranker.model.table.detach()
    assert not rows[ids:].any()
    met = {*train_set.features.user_ids.ravel().tolist()} - {0}
    assert all(rows[row, 1:].any() for row in met)


def test_training_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    train(shop.SETTINGS.model_copy(update={"epochs": 1}))
    assert torch.equal(before, torch.get_rng_state())


def test_saved_reranker_ranks_alike(tmp_path: Path) -> None:
    reranker = train(shop.SETTINGS).reranker
    reranker.save(tmp_path)
    candidates = shop.candidates()
    features = shop.builder().build(shop.queries(), candidates)
    one = reranker.probabilities(features)
    np.testing.assert_array_equal(one, Reranker.load(tmp_path).probabilities(features))
    assert len(one) == len(candidates.items)
    assert ((one > 0) & (one < 1)).all()


def test_no_answer_among_the_candidates_is_an_error() -> None:
    spec = shop.builder().spec
    answered = examples(1, spec)
    empty = replace(answered, labels=np.zeros_like(answered.labels))
    with pytest.raises(ValueError, match="nothing to learn"):
        train_reranker(empty, answered, spec, len(shop.vocabulary()), shop.SETTINGS)


def test_without_valid_candidates_the_last_of_train_decide() -> None:
    """A shop whose valid events are all repeat purchases asks nothing in valid."""
    spec = shop.builder().spec
    known = examples(1, spec)
    nothing = np.empty(0, dtype=np.int64)
    features = replace(
        known.features,
        user_row=nothing,
        item_row=nothing,
        raw=known.features.raw[:0],
    )
    empty = Examples(features, known.labels[:0], spec)
    trained = train_reranker(known, empty, spec, len(shop.vocabulary()), shop.SETTINGS)
    assert trained.judged_by == "the last tenth of train: valid asks nothing"
    assert all(np.isfinite(list(figures.values())).all() for figures in trained.history)
    slope, offset = trained.reranker.calibration
    assert slope >= 0
    assert np.isfinite(offset)


def test_training_rows_keep_each_positive_and_n_negatives() -> None:
    labels = np.array([0, 1, 0, 0, 0, 0, 0, 1, 0, 0], dtype=np.float32)
    query = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 2])
    draw = np.random.default_rng(0)
    assert training_rows(labels, query, None, draw).tolist() == [0, 1, 2, 3, 6, 7, 8, 9]
    rows = training_rows(labels, query, 2, draw)
    assert np.bincount(query[rows]).tolist() == [3, 0, 3]
    assert {1, 7} <= set(rows.tolist())


def test_batches_hold_whole_queries_once_each() -> None:
    query = np.repeat(np.arange(9), [3, 1, 4, 1, 5, 9, 2, 6, 5])
    rows = np.flatnonzero(query != 5)
    batches = list(shuffled_batches(rows, query, 6, np.random.default_rng(1)))
    assert sorted(np.concatenate(batches).tolist()) == rows.tolist()
    assert all(len(batch) >= 6 for batch in batches[:-1])
    whole = [set(query[batch].tolist()) for batch in batches]
    assert sum(len(part) for part in whole) == 8
