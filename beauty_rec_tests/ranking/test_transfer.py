"""Trainings with and without transfer: what they say, and that the better kind is served."""

import math

import numpy as np
import pytest
import torch

from beauty_rec.ranking.curves import ndcg_of_lists
from beauty_rec.ranking.train import train_reranker
from beauty_rec.ranking.transfer import TransferTrial, try_transfer
from beauty_rec_tests.ranking import small_shop as shop
from beauty_rec_tests.ranking.test_train import examples


def history(*losses: float) -> list[dict[str, float]]:
    return [
        {"steps": 10.0 * at, "valid_log_loss": loss, "valid_ndcg@10": 0.1}
        for at, loss in enumerate(losses, 1)
    ]


def test_a_lower_loss_in_fewer_steps_helps() -> None:
    plain = [history(0.9, 0.8, 0.7)] * 3
    with_it = [history(0.8, 0.7, 0.6), history(0.9, 0.69, 0.7), history(0.7, 0.6)]
    trial = TransferTrial(with_it, plain)
    assert trial.helps
    assert trial.steps() == (30, 20)
    assert trial.sentence() == (
        "Transfer helps here: valid log loss 0.60000 with transfer, 0.70000 without (medians of 3 "
        "seeds); the untransferred best takes 30 steps without it and 20 with it."
    )


def test_a_difference_that_changes_its_sign_by_the_seed_is_none() -> None:
    plain = [history(0.7)] * 5
    for lower, helps in ((3, False), (4, True)):
        own = [history(0.6)] * lower + [history(0.8)] * (5 - lower)
        assert TransferTrial(own, plain).helps is helps


def test_a_gain_that_no_digit_shows_is_none() -> None:
    plain = [history(0.01499)] * 3
    for loss, helps in ((0.014985, False), (0.01497, True)):
        assert TransferTrial([history(loss)] * 3, plain).helps is helps


def test_a_loss_that_is_never_reached_does_not_help() -> None:
    trial = TransferTrial([history(0.9, 0.8)] * 3, [history(0.9, 0.7)] * 3)
    assert not trial.helps
    assert trial.steps() == (20, None)
    assert "does not help" in trial.sentence()
    assert "is not reached" in trial.sentence()
    assert not TransferTrial([history(0.7)], [history(0.7)]).helps, "of equals the simpler"


def test_a_trial_trains_each_kind_by_each_seed() -> None:
    spec, words = shop.builder().spec, shop.vocabulary()
    settings = shop.SETTINGS.model_copy(update={"trial_seeds": 2, "trial_epochs": 3})
    tower = np.random.default_rng(0).normal(size=(len(words), 4)).astype(np.float32)
    data = (examples(1, spec), examples(2, spec), spec, len(words))
    trial = try_transfer(*data, settings, tower)
    assert [len(h) for h in (*trial.plain, *trial.transferred)] == [3] * 4
    alone = settings.model_copy(update={"seed": settings.seed + 1, "transfer": False, "epochs": 3})
    assert trial.plain[1] == train_reranker(*data, alone).history
    assert trial.plain[1] != trial.transferred[1]
    steps = [row["steps"] for row in trial.plain[0]]
    assert steps == [steps[0], 2 * steps[0], 3 * steps[0]]


def test_of_many_examples_a_trial_sees_some_queries_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each epoch then takes fewer steps; the valid queries stay as they are."""
    spec, words = shop.builder().spec, shop.vocabulary()
    settings = shop.SETTINGS.model_copy(update={"trial_seeds": 1, "trial_epochs": 1})
    tower = np.random.default_rng(0).normal(size=(len(words), 4)).astype(np.float32)
    data = (examples(1, spec), examples(2, spec), spec, len(words))  # 39 queries of 8 have answers
    whole = try_transfer(*data, settings, tower).plain[0][0]["steps"]
    monkeypatch.setattr("beauty_rec.ranking.transfer.TRIAL_EXAMPLES", 8 * 10)
    some = try_transfer(*data, settings, tower).plain[0][0]["steps"]
    assert some < whole


def test_what_is_transferred_stands_still_and_then_moves_slower(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec, words = shop.builder().spec, shop.vocabulary()
    seen: list[dict[str, torch.Tensor]] = []
    monkeypatch.setattr("beauty_rec.ranking.deepfm.DeepFM.fold", lambda model: seen.append(
        {name: part.detach().clone() for name, part in model.named_parameters()}
    ))  # fmt: skip
    tower = np.random.default_rng(0).normal(size=(len(words), 4)).astype(np.float32)
    for frozen, epochs in ((2, 2), (0, 2)):
        settings = shop.SETTINGS.model_copy(
            update={"transfer_frozen_epochs": frozen, "epochs": epochs, "patience": 9}
        )
        train_reranker(examples(1, spec), examples(2, spec), spec, len(words), settings, tower)
    start = tower / np.sqrt(np.square(tower).mean())
    start[0] = 0.0
    still, moved = (np.abs(part["source"].numpy() - start).max() for part in seen)
    assert still < 1e-6
    assert 1e-5 < moved < 0.1


def test_ndcg_of_lists_by_loops() -> None:
    draw = np.random.default_rng(0)
    lengths = [1, 15, 4, 12, 30]
    query = np.repeat(np.arange(5), lengths)
    scores = draw.integers(0, 9, len(query)).astype(np.float32)
    labels = np.zeros(len(query), np.float32)
    for number, at in enumerate((0, 3, None, 2, 7)):
        if at is not None:
            labels[int(np.searchsorted(query, number)) + at] = 1
    total = 0.0
    for number in range(5):
        own = scores[(query == number) & (labels > 0)]
        if len(own):
            others = scores[query == number]
            rank = (others > own[0]).sum() + ((others == own[0]).sum() + 1) / 2
            total += 1 / math.log2(1 + rank) if rank <= 10 else 0
    assert ndcg_of_lists(labels, scores, query) == pytest.approx(total / 5)
    assert math.isnan(ndcg_of_lists(labels[:0], scores[:0], query[:0]))
