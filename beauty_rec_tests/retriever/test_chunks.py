"""A batch is trained in one piece where the device holds it, and through a gradient cache else."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from beauty_rec.retriever import chunks
from beauty_rec.retriever.chunks import chunk_tokens, kept_per_token
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.retriever.losses import batch_loss, ranking_loss
from beauty_rec.settings import EncoderSettings, FineTuneSettings
from beauty_rec.training.activations import kept_bytes

COLUMNS = [["a comb", "roses"] * 4, ["a comb for curls", "a soap"] * 4]
"""Of 2 × 8 texts, in two groups of 8 × 4 and 8 × 6 tokens with the first and the last one."""


def blocks_of(encoder: TextEncoder) -> Any:
    transformer: Any = encoder.model[0]
    return transformer.auto_model.encoder.layer


@pytest.mark.parametrize("guide_margin", [None, 0.0])
@pytest.mark.parametrize(("tokens", "passed"), [(80, [8, 8]), (79, [8, 8, 8, 8]), (17, [2] * 16)])
def test_only_a_batch_beyond_its_chunk_passes_twice(
    tokens: int,
    passed: list[int],
    guide_margin: float | None,
    tiny_model: Path,
    encoder_settings: EncoderSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = TextEncoder.load(tiny_model, encoder_settings)
    loss_of = ranking_loss(encoder.model, FineTuneSettings(guide_margin=guide_margin))
    rows: list[int] = []
    forward = encoder.model.forward

    def counted(features: dict[str, torch.Tensor], **kwargs: Any) -> dict[str, torch.Tensor]:
        rows.append(len(features["input_ids"]))
        return forward(features, **kwargs)

    monkeypatch.setattr(encoder.model, "forward", counted)
    batch_loss(encoder, loss_of, COLUMNS, tokens).backward()
    assert rows == passed
    assert all(block.output.dense.weight.grad.any() for block in blocks_of(encoder))


def test_a_chunk_is_what_is_set_or_what_the_device_has_room_for(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path, encoder_settings: EncoderSettings
) -> None:
    encoder = TextEncoder.load(tiny_model, encoder_settings)
    assert chunk_tokens(encoder, FineTuneSettings()) == 8_192
    assert chunk_tokens(encoder, FineTuneSettings(chunk_tokens=700)) == 700
    card: Any = SimpleNamespace(model=SimpleNamespace(device=torch.device("cuda:0")))
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=48e9)
    )
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda _: 0.5, raising=False)
    monkeypatch.setattr(chunks, "learning_bytes", lambda _: 9e9)
    monkeypatch.setattr(chunks, "kept_per_token", lambda _: 1.5e6)
    assert chunk_tokens(card, FineTuneSettings()) == 5_000
    assert chunk_tokens(card, FineTuneSettings(chunk_tokens=700)) == 700


def test_what_a_token_takes_is_what_more_texts_take(
    tiny_model: Path, encoder_settings: EncoderSettings
) -> None:
    encoder = TextEncoder.load(tiny_model, encoder_settings)
    per_token, was = kept_per_token(encoder), encoder.model.training
    encoder.model.train()
    given = (encoder.features(["a " * 16] * texts, 16) for texts in (3, 9))
    few, many = (kept_bytes(encoder.model, partial(encoder.model, each)) for each in given)
    assert per_token == pytest.approx((many - few) / 6 / 16, rel=0.01)
    assert not was
    # Two layers of 32: at the least the input of each of the 6 linear layers.
    assert 2 * 6 * 32 * 4 < per_token < 50 * 2 * 32 * 4
