"""The training recipe: it learns, it resumes, it says what it did."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from beauty_rec.artifacts import content_hash
from beauty_rec.retriever import finetune
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.retriever.finetune import fine_tune
from beauty_rec.retriever.losses import batch_loss
from beauty_rec.retriever.model_card import TrainingLog
from beauty_rec.retriever.negatives import mine_hard_negatives
from beauty_rec.settings import EncoderSettings, FineTuneSettings

MakePairs = Callable[[int], pl.DataFrame]


def settings(**changes: object) -> FineTuneSettings:
    plain: dict[str, object] = {
        "epochs": 3,
        "batch_size": 8,
        "mini_batch_size": 8,
        "learning_rate": 1e-3,
        "temperature": 0.05,
        "frozen_layers": 0,
        "evaluations_per_epoch": 2,
        "checkpoint_minutes": 0,
    }
    return FineTuneSettings(**(plain | changes))


@pytest.fixture
def encoder_settings(tiny_model: Path) -> EncoderSettings:
    return EncoderSettings(
        model=str(tiny_model),
        max_query_tokens=16,
        max_item_tokens=16,
        precision="float32",
        device="cpu",
    )


def top1(pairs: pl.DataFrame) -> Callable[[TextEncoder], float]:
    items = pairs.unique("parent_asin", maintain_order=True)

    def score(encoder: TextEncoder) -> float:
        scores = (
            encoder.encode_queries(pairs["query"].to_list())
            @ encoder.encode_items(items["positive"].to_list()).T
        )
        found = items["parent_asin"].to_numpy()[scores.argmax(axis=1)]
        return float((found == pairs["parent_asin"].to_numpy()).mean())

    return score


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mini_batch_size": 4, "symmetric": True, "decay": "cosine"},
        {"hard_negatives": 2, "frozen_layers": 1, "learning_rate": 1e-2, "epochs": 6},
        {"guide_margin": 0.0, "mini_batch_size": 4, "learning_rate": 1e-2, "epochs": 6},
    ],
    ids=["plain", "cached, symmetric", "hard negatives, frozen layers", "guided"],
)
def test_it_learns_and_saves_the_best_weights(
    changes: dict[str, object],
    make_pairs: MakePairs,
    encoder_settings: EncoderSettings,
    tmp_path: Path,
) -> None:
    pairs = make_pairs(16)
    target, score = tmp_path / "tuned", top1(pairs)
    log = fine_tune(pairs, encoder_settings, settings(**changes), target, tmp_path / "c", score)
    best = max(score for _, score in log.evaluations)
    assert best > log.evaluations[0][1]
    tuned = TextEncoder.load(target, EncoderSettings(precision="float32", device="cpu"))
    assert score(tuned) == best == dict(log.evaluations)[log.best_step]
    assert TrainingLog.load(target) == log
    assert not (tmp_path / "c").exists()
    assert not [file for file in target.rglob("*") if file.suffix in (".bin", ".pt", ".pkl")]


def test_cached_and_plain_loss_agree(
    make_pairs: MakePairs, tiny_model: Path, encoder_settings: EncoderSettings, tmp_path: Path
) -> None:
    """Without dropout the gradient cache changes memory, not the result."""
    still = tmp_path / "still"
    encoder = TextEncoder.load(tiny_model, encoder_settings)
    transformer: Any = encoder.model[0]
    config = transformer.auto_model.config
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    encoder.save(still)
    same = encoder_settings.model_copy(update={"model": str(still)})
    losses = [
        fine_tune(
            make_pairs(16),
            same,
            settings(mini_batch_size=size),
            tmp_path / "t",
            tmp_path / "c",
            None,
        ).losses
        for size in (8, 4)
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


KILLED = """
import os, signal, sys
from pathlib import Path
import polars as pl, torch
from beauty_rec.retriever import finetune
from beauty_rec.retriever.finetune import fine_tune
from beauty_rec.settings import EncoderSettings, FineTuneSettings

torch.set_num_threads(1)
folder, calls = Path(sys.argv[1]), []

def evaluate(encoder):
    calls.append(1)
    if len(calls) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return float(encoder.encode_queries(["good comb"]).sum())

fine_tune(
    pl.read_parquet(folder / "pairs.parquet"),
    EncoderSettings.model_validate_json(sys.argv[2]),
    FineTuneSettings.model_validate_json(sys.argv[3]),
    folder / "resumed", folder / "checkpoints", evaluate,
)
"""


def test_a_run_killed_with_sigkill_ends_as_an_uninterrupted_one(
    make_pairs: MakePairs, encoder_settings: EncoderSettings, tmp_path: Path
) -> None:
    """With dropout, gradient cache and mined negatives: the same losses, the same bytes."""
    pairs = make_pairs(16)
    recipe = settings(mini_batch_size=4, hard_negatives=1, patience=99)
    pairs.write_parquet(tmp_path / "pairs.parquet")
    arguments = [str(tmp_path), encoder_settings.model_dump_json(), recipe.model_dump_json()]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], check=False, capture_output=True
    )
    assert killed.returncode == -9, killed.stderr.decode()
    checkpoint = list((tmp_path / "checkpoints").glob("step-*"))
    assert len(checkpoint) == 1
    assert not (tmp_path / "resumed").exists()

    calls: list[int] = []

    def evaluate(encoder: TextEncoder) -> float:
        calls.append(1)
        return float(encoder.encode_queries(["good comb"]).sum())

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = fine_tune(
            pairs, encoder_settings, recipe, tmp_path / "whole", tmp_path / "other", evaluate
        )
        asked, calls[:] = len(calls), []
        resumed = fine_tune(
            pairs,
            encoder_settings,
            recipe,
            tmp_path / "resumed",
            tmp_path / "checkpoints",
            evaluate,
        )
    finally:
        torch.set_num_threads(threads)
    assert 0 < len(calls) < asked, "the resumed run must not start anew"
    assert resumed == whole
    assert content_hash(tmp_path / "resumed") == content_hash(tmp_path / "whole")


def test_no_hard_negative_is_the_answer_of_another_query_of_its_batch(
    make_pairs: MakePairs,
    encoder_settings: EncoderSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batches: list[list[list[str]]] = []

    def seen(encoder: TextEncoder, loss: torch.nn.Module, columns: list[list[str]]) -> torch.Tensor:
        batches.append(columns)
        return batch_loss(encoder, loss, columns)

    monkeypatch.setattr(finetune, "batch_loss", seen)
    recipe = settings(hard_negatives=3, epochs=1)
    fine_tune(make_pairs(24), encoder_settings, recipe, tmp_path / "t", tmp_path / "c", None)
    assert batches
    for _, positives, *negatives in batches:
        assert len(negatives) == 3
        for own in zip(*negatives, strict=True):
            assert len(set(own)) == 3
            assert not set(own) & set(positives)


@pytest.mark.parametrize(("pairs", "judged_by"), [(12, "valid"), (16, "other valid")])
def test_a_checkpoint_of_other_data_is_not_resumed(
    make_pairs: MakePairs,
    encoder_settings: EncoderSettings,
    tmp_path: Path,
    pairs: int,
    judged_by: str,
) -> None:
    def interrupt(_: TextEncoder, calls: list[int] = []) -> float:  # noqa: B006
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return 0.5

    with pytest.raises(KeyboardInterrupt):
        fine_tune(
            make_pairs(16),
            encoder_settings,
            settings(checkpoint_minutes=0),
            tmp_path / "t",
            tmp_path / "c",
            interrupt,
            judged_by="valid",
        )
    assert list((tmp_path / "c").glob("step-*"))
    recipe, asked = settings(checkpoint_minutes=0), make_pairs(pairs)

    def judge(_: TextEncoder) -> float:
        return 0.7

    logs = [
        fine_tune(
            asked, encoder_settings, recipe, tmp_path / "t", folder, judge, judged_by=judged_by
        )
        for folder in (tmp_path / "c", tmp_path / "fresh")
    ]
    assert logs[0].evaluations == logs[1].evaluations
    assert logs[0].losses == logs[1].losses


def test_it_stops_early_and_keeps_the_best(
    make_pairs: MakePairs, encoder_settings: EncoderSettings, tmp_path: Path
) -> None:
    scores = iter([0.1, 0.5, 0.4, 0.4, 0.9])
    log = fine_tune(
        make_pairs(16),
        encoder_settings,
        settings(patience=2, epochs=5),
        tmp_path / "t",
        tmp_path / "c",
        lambda _: next(scores),
    )
    assert [score for _, score in log.evaluations] == [0.1, 0.5, 0.4, 0.4]
    assert log.best_step == log.evaluations[1][0]
    assert len(log.losses) < log.planned_steps
    assert "Stopped early" in (tmp_path / "t/README.md").read_text()


@pytest.mark.parametrize("items", [0, 1])
def test_nothing_to_learn_from_keeps_the_untuned_encoder_and_says_so(
    items: int,
    make_pairs: MakePairs,
    encoder_settings: EncoderSettings,
    tmp_path: Path,
    tiny_model: Path,
) -> None:
    pairs = make_pairs(1)[:items]
    log = fine_tune(
        pairs, encoder_settings, settings(), tmp_path / "t", tmp_path / "c", lambda _: 0.3
    )
    assert (log.losses, log.best_step, log.evaluations) == ([], 0, [(0, 0.3)])
    card = (tmp_path / "t/README.md").read_text()
    assert "Not tuned" in card
    assert str(tmp_path) not in card
    plain = TextEncoder.load(tiny_model, encoder_settings)
    saved = TextEncoder.load(tmp_path / "t", encoder_settings)
    np.testing.assert_array_equal(plain.encode_items(["x"]), saved.encode_items(["x"]))


def test_a_tuning_that_only_harms_is_not_kept(
    make_pairs: MakePairs, encoder_settings: EncoderSettings, tmp_path: Path
) -> None:
    scores = iter([0.9, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0])
    log = fine_tune(
        make_pairs(16),
        encoder_settings,
        settings(),
        tmp_path / "t",
        tmp_path / "c",
        lambda _: next(scores),
    )
    assert log.best_step == 0
    assert "Not tuned" in log.note


def test_freezing_every_layer_is_refused(
    make_pairs: MakePairs, encoder_settings: EncoderSettings, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="leaves nothing to train"):
        fine_tune(
            make_pairs(4),
            encoder_settings,
            settings(frozen_layers=2),
            tmp_path / "t",
            tmp_path / "c",
            None,
        )


def test_a_guide_lets_near_items_be_no_negatives(
    make_pairs: MakePairs, encoder_settings: EncoderSettings, tmp_path: Path
) -> None:
    """A margin that nothing passes leaves no negative to learn from: the loss is 0 at once."""
    first = {
        margin: fine_tune(
            make_pairs(16),
            encoder_settings,
            settings(guide_margin=margin, epochs=1),
            tmp_path / "t",
            tmp_path / "c",
            None,
        ).losses[0]
        for margin in (0.0, 2.0)
    }
    assert first[0.0] > 0.1
    assert first[2.0] == pytest.approx(0, abs=1e-5)
    with pytest.raises(ValueError, match="not with symmetric"):
        settings(guide_margin=0.1, symmetric=True)


def test_float16_learns_too(
    make_pairs: MakePairs, encoder_settings: EncoderSettings, tmp_path: Path
) -> None:
    half = encoder_settings.model_copy(update={"precision": "float16"})
    pairs = make_pairs(16)
    losses = [
        fine_tune(pairs, own, settings(), tmp_path / "t", tmp_path / "c", None).losses
        for own in (encoder_settings, half)
    ]
    np.testing.assert_allclose(losses[1][0], losses[0][0], rtol=0.05)
    assert np.mean(losses[1][-3:]) < 0.8 * np.mean(losses[1][:3])


def test_mined_negatives_are_other_items_below_the_margin(
    make_pairs: MakePairs, encoder_settings: EncoderSettings, tiny_model: Path
) -> None:
    encoder, pairs = TextEncoder.load(tiny_model, encoder_settings), make_pairs(10)
    queries, positives = pairs["query"].to_list(), pairs["positive"].to_list()
    items = pairs["parent_asin"].to_list()
    margin = 0.01
    mined = mine_hard_negatives(encoder, queries, positives, items, 3, margin)
    scores = encoder.encode_queries(queries) @ encoder.encode_items(positives).T
    for row, chosen in enumerate(mined):
        assert len({items[other] for other in chosen} - {items[row]}) == 3
        best = sorted(
            {
                items[j]: scores[row, j]
                for j in range(len(items))
                if items[j] != items[row] and scores[row, j] <= scores[row, row] - margin
            }.items(),
            key=lambda pair: -pair[1],
        )[:3]
        assert [items[other] for other in chosen][: len(best)] == [item for item, _ in best]
