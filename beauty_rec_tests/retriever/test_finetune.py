"""The training recipe: it learns, and it says what it did."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.retriever.encoding.recent import WORTHWHILE
from beauty_rec.retriever.finetune import _freeze, fine_tune
from beauty_rec.retriever.model_card import TrainingLog
from beauty_rec.settings import EncoderSettings
from beauty_rec_tests.retriever.recipe import MakePairs, settings


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
        pytest.param({}, id="plain"),
        pytest.param(
            {"chunk_tokens": 40, "symmetric": True, "decay": "cosine"}, id="cached, symmetric"
        ),
        pytest.param(
            {"hard_negatives": 2, "frozen_layers": 1, "learning_rate": 1e-2, "epochs": 6},
            id="hard negatives, frozen layers",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"guide_margin": 0.0, "chunk_tokens": 40, "learning_rate": 1e-2, "epochs": 6},
            id="guided",
            marks=pytest.mark.slow,
        ),
    ],
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


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="queries alone", marks=pytest.mark.slow),
        pytest.param({"symmetric": True}, id="symmetric"),
        pytest.param(
            {"guide_margin": 0.0, "hard_negatives": 1},
            id="guided, hard negatives",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_cached_and_plain_loss_agree(
    changes: dict[str, object],
    make_pairs: MakePairs,
    tiny_model: Path,
    encoder_settings: EncoderSettings,
    tmp_path: Path,
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
            settings(chunk_tokens=tokens, **changes),
            tmp_path / "t",
            tmp_path / "c",
            None,
        ).losses
        for tokens in (None, 40)
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


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


def test_every_look_is_at_the_weights_of_then(
    make_pairs: MakePairs, encoder_settings: EncoderSettings, tmp_path: Path
) -> None:
    """No copy of the weights, and no vector that was made with them, outlives a step."""
    texts = [f"a comb, number {n}" for n in range(WORTHWHILE)]
    seen = []

    def look(encoder: TextEncoder) -> float:
        same = TextEncoder.load(encoder_settings.model, encoder_settings)
        same.model.load_state_dict(encoder.model.state_dict())
        np.testing.assert_array_equal(encoder.encode_contexts(["x"]), same.encode_contexts(["x"]))
        seen.append(encoder.encode_items(texts).tobytes())
        return 0.0

    recipe = settings(epochs=2, patience=2)
    fine_tune(make_pairs(16), encoder_settings, recipe, tmp_path / "t", tmp_path / "c", look)
    assert len(seen) == len(set(seen)) == 3


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
    why = "a batch takes two pairs" if items else "there are no training pairs"
    assert f"Not tuned: {why}" in card
    assert log.left_out == items == card.count("1 of them stand in no batch")
    assert str(tmp_path) not in card
    plain = TextEncoder.load(tiny_model, encoder_settings)
    saved = TextEncoder.load(tmp_path / "t", encoder_settings)
    np.testing.assert_array_equal(plain.encode_items(["x"]), saved.encode_items(["x"]))


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"epochs": 0}, "fine_tune.epochs is 0"), ({"processes": 4}, "each of fine_tune.processes")],
)
def test_no_training_says_which_setting_it_is_for(
    changes: dict[str, object],
    why: str,
    make_pairs: MakePairs,
    encoder_settings: EncoderSettings,
    tmp_path: Path,
) -> None:
    """A process without a row of a batch would have nothing to pass forward."""
    target, checkpoints = tmp_path / "t", tmp_path / "c"
    recipe = settings(**changes)
    log = fine_tune(make_pairs(3), encoder_settings, recipe, target, checkpoints, None)
    assert log.losses == []
    assert log.note.startswith("Not tuned")
    assert why in log.note


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
    with pytest.raises(ValueError, match=r"leaves nothing to train: .* set it to 1 at most"):
        fine_tune(
            make_pairs(4),
            encoder_settings,
            settings(frozen_layers=2),
            tmp_path / "t",
            tmp_path / "c",
            None,
        )


@pytest.mark.parametrize("kind", ["Bert", "DistilBert", "ModernBert", "MPNet"])
def test_the_lowest_layers_of_any_encoder_can_stay(kind: str) -> None:
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8,
        vocab_size=40, pad_token_id=0, cls_token_id=1, sep_token_id=2,
        bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model = getattr(transformers, f"{kind}Model")(config)
    _freeze([SimpleNamespace(auto_model=model)], 1)
    still = {name for name, values in model.named_parameters() if not values.requires_grad}
    assert any("embeddings" in name for name in still)
    assert any(".0." in name for name in still)
    assert not any(".1." in name for name in still)


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


@pytest.mark.slow
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
