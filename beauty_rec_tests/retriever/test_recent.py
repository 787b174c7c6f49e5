"""Vectors of a call that was made before in this process."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from beauty_rec.retriever import encoder as encoder_module
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.retriever.encoding.recent import WORTHWHILE, RecentVectors
from beauty_rec.settings import EncoderSettings

TEXTS = [f"a comb for curly hair, number {n}" for n in range(WORTHWHILE)]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was really encoded, call by call."""
    calls: list[str] = []
    plain = TextEncoder._encode

    def encode(self: TextEncoder, texts: list[str], most: int, what: str, **mode: bool) -> Any:
        calls.append(what)
        return plain(self, texts, most, what, **mode)

    monkeypatch.setattr(TextEncoder, "_encode", encode)
    monkeypatch.setattr(encoder_module, "_RECENT", RecentVectors())
    return calls


def load(tiny_model: Path, **settings: int) -> TextEncoder:
    return TextEncoder.load(tiny_model, EncoderSettings(precision="float32", **settings))


def test_the_same_call_of_the_same_model_is_computed_once(
    tiny_model: Path, computed: list[str]
) -> None:
    first, again = load(tiny_model), load(tiny_model)
    found = first.encode_items(TEXTS)
    kept = found.copy()
    found += 1  # the caller's own
    np.testing.assert_array_equal(again.encode_items(TEXTS), kept)
    assert computed == ["items"]


def test_whatever_differs_is_computed(tiny_model: Path, computed: list[str]) -> None:
    encoder = load(tiny_model)
    before = encoder.encode_items(TEXTS)
    encoder.encode_items(TEXTS[::-1])
    encoder.encode_queries(TEXTS)
    encoder.encode_items(TEXTS, reduced=False)
    load(tiny_model, max_item_tokens=16).encode_items(TEXTS)
    assert computed == ["items", "items", "queries", "items", "items"]
    weight = next(encoder.model.parameters())
    weight.grad = torch.randn_like(weight)
    torch.optim.AdamW([weight], lr=0.1, fused=True).step()  # tells nobody
    assert np.abs(encoder.encode_items(TEXTS) - before).max() > 1e-3
    encoder.model.tokenizer.backend_tokenizer.normalizer = None
    encoder.encode_items(TEXTS)
    assert len(computed) == 7


def test_a_request_is_never_kept(tiny_model: Path, computed: list[str]) -> None:
    encoder = load(tiny_model)
    for _ in range(2):
        encoder.encode_items(TEXTS[:-1])
        encoder.encode_contexts(TEXTS)
    assert computed == ["items", "contexts"] * 2


def test_the_oldest_make_room() -> None:
    recent = RecentVectors(2 * 8 * 4)
    made: list[str] = []

    def ask(key: str, rows: int = 4) -> None:
        def compute() -> NDArray[np.float32]:
            made.append(key)
            return np.ones((rows, 2), np.float32)

        assert len(recent.of(key, compute)) == rows

    for key in "abacb":  # b makes room for c, and a for b
        ask(key)
    ask("too large", rows=9)
    ask("b")
    ask("c")
    assert made == ["a", "b", "c", "b", "too large"]
