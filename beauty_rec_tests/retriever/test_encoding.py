"""Texts in bulk: batches by tokens, int8, what depends on company and what does not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.retriever.encoding import precision
from beauty_rec.retriever.encoding.kept_recall import Int8Recall, int8_recall, steady_recall
from beauty_rec.retriever.encoding.quantized_linear import (
    QuantizedLinears,
    quantized_rows,
)
from beauty_rec.retriever.encoding.token_batches import made_ahead, token_batches
from beauty_rec.settings import PACKAGED_ENCODER, EncoderSettings
from beauty_rec_tests.whole_products import multiply_int8

TEXTS = [" ".join(["soft", "comb", "for", "curly", "hair"] * n)[: 7 * n + 3] for n in range(1, 40)]


@pytest.fixture
def int8(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have items encoded in int8, on any processor."""
    monkeypatch.setattr(precision, "int8_is_faster", lambda: True)
    multiply_int8(monkeypatch)


@given(
    st.lists(st.integers(1, 40), max_size=60),
    st.integers(1, 100),
    st.booleans(),
)
def test_batches_keep_to_the_budget(lengths: list[int], budget: int, same: bool) -> None:
    batches = token_batches(lengths, budget, same_length=same)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        found = [lengths[row] for row in batch]
        assert len(batch) == 1 or len(batch) * max(found) <= budget
        assert not same or len(set(found)) == 1


def test_parts_are_made_ahead_and_in_order() -> None:
    for parts in ([], [1], [1, 2], list(range(9))):
        assert list(made_ahead(iter(parts), lambda part: part * 2)) == [2 * p for p in parts]


def test_a_tokenizers_error_is_not_lost() -> None:
    def fails(part: int) -> int:
        if part == 5:
            raise ValueError("part 5")
        return part

    with pytest.raises(ValueError, match="part 5"):
        list(made_ahead(range(9), fails))


@pytest.mark.usefixtures("int8")
@pytest.mark.parametrize("shape", [(1, 16), (7, 16), (3, 5, 16)])
@pytest.mark.parametrize("bias", [True, False])
def test_int8_layers_come_close_and_judge_each_row_alone(
    shape: tuple[int, ...], bias: bool
) -> None:
    torch.manual_seed(13)
    first = nn.Linear(16, 24, bias=bias)
    model = nn.Sequential(first, nn.GELU(), nn.Linear(24, 8, bias=bias))
    rows = torch.randn(shape)
    layers = QuantizedLinears(model)
    with torch.inference_mode():
        wanted = model(rows)
        with layers.used():
            found = model(rows)
            beside = model(torch.cat([rows, 1e4 * rows]))  # large neighbours change nothing
        torch.testing.assert_close(found, wanted, rtol=0.05, atol=0.05)
        assert torch.equal(beside[: len(rows)], found)
        assert torch.equal(model(rows), wanted)
        first.weight.mul_(2)
        with layers.used():
            torch.testing.assert_close(model(rows), model(rows))
            assert not torch.equal(model(rows), found)


def test_rows_are_rounded_by_their_own_largest_number() -> None:
    whole, scale = quantized_rows(torch.tensor([[1.0, -2.0, 0.0], [0.0, 0.0, 0.0], [5e3, 1, -1]]))
    assert whole.tolist() == [[192, 1, 128], [128] * 3, [255, 128, 128]]
    assert scale.flatten().tolist() == pytest.approx([2 / 127, 1e-12 / 127, 5e3 / 127])


@pytest.mark.slow
@pytest.mark.usefixtures("int8")
def test_int8_vectors_depend_on_nothing_but_their_text() -> None:
    encoder = TextEncoder.load(PACKAGED_ENCODER, EncoderSettings(max_item_tokens=64))
    together = encoder.encode_items(TEXTS, quantized=True)
    alone = np.concatenate([encoder.encode_items([text], quantized=True) for text in TEXTS])
    np.testing.assert_array_equal(together, alone)
    small = EncoderSettings(max_item_tokens=64, batch_tokens=100)
    other = TextEncoder.load(PACKAGED_ENCODER, small).encode_items(TEXTS[::-1], quantized=True)
    np.testing.assert_array_equal(together[::-1], other)
    exact = encoder.encode_items(TEXTS, reduced=False)
    assert (together * exact).sum(1).min() > 0.98
    assert not np.array_equal(together, encoder.encode_items(TEXTS))


@pytest.mark.parametrize(
    ("instructions", "faster"),
    [
        (["avx512_vnni", "avx512_bf16"], True),
        (["avx_vnni"], True),
        (["avx512_bf16"], False),
        (["avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"], False),
    ],
)
def test_int8_is_taken_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, instructions: list[str], *, faster: bool
) -> None:
    found = dict.fromkeys(instructions, True)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.onednn, "qlinear_pointwise", None, raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert precision.may_quantize("auto", torch.device("cpu")) == faster
    assert not precision.may_quantize("bfloat16", torch.device("cpu"))


@pytest.mark.parametrize("named", ["float32", "bfloat16"])
def test_a_precision_that_is_named_is_kept(tiny_model: Path, named: str) -> None:
    encoder = TextEncoder.load(tiny_model, EncoderSettings(precision=named))
    assert not encoder.may_quantize
    assert encoder.precision_of_items(quantized=True) == named
    asked, plain = (encoder.encode_items(TEXTS, quantized=q) for q in (True, False))
    np.testing.assert_array_equal(asked, plain)


@pytest.mark.slow
@pytest.mark.usefixtures("int8")
def test_int8_is_measured_against_float32_on_the_same_texts_every_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = TextEncoder.load(PACKAGED_ENCODER, EncoderSettings())
    texts = [f"{text} number {n} of the shelf {n * 7}" for n, text in enumerate(TEXTS)]
    recall = int8_recall(encoder, texts)
    assert recall == int8_recall(encoder, texts)
    assert recall.texts == len(texts)
    assert recall.float32 > 0.2
    assert recall.holds
    assert int8_recall(encoder, []).holds

    def spoiled(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        whole, scale = quantized_rows(rows)
        return whole.flip(1), scale

    name = "beauty_rec.retriever.encoding.quantized_linear.quantized_rows"
    monkeypatch.setattr(name, spoiled)
    assert not int8_recall(encoder, texts).holds


@pytest.mark.parametrize(
    "damage", [None, "", "[]", '{"maker": "code 1"}', '{"maker": "code 1", "recall": {}}']
)
def test_what_int8_costs_is_measured_once_for_a_model(tmp_path: Path, damage: str | None) -> None:
    path = tmp_path / "cache" / "items.int8.json"
    fine, spoiled = Int8Recall(500, 0.9, 0.9), Int8Recall(500, 0.9, 0.8)
    assert steady_recall(path, "code 1", lambda: fine) == fine
    if damage is not None:
        path.write_text(damage)
    kept = fine if damage is None else spoiled
    assert steady_recall(path, "code 1", lambda: spoiled) == kept
    assert steady_recall(path, "code 2", lambda: spoiled) == spoiled
