"""The text encoder."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from beauty_rec.artifacts import content_hash
from beauty_rec.retriever import model_files
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.retriever.model_files import EncoderUnavailable, resolve_model
from beauty_rec.settings import PACKAGED_ENCODER, EncoderSettings

TEXTS = ["smells of roses", "", "a comb for curly hair " * 30, "日本語 😀", "x"]


@pytest.fixture(scope="module")
def encoder(tiny_model: Path) -> TextEncoder:
    settings = EncoderSettings(max_query_tokens=16, max_item_tokens=32, precision="float32")
    return TextEncoder.load(tiny_model, settings)


def test_the_packaged_encoder_loads_and_understands() -> None:
    encoder = TextEncoder.load(PACKAGED_ENCODER, EncoderSettings(precision="float32"))
    query = encoder.encode_queries(["it makes my lashes long"])
    items = encoder.encode_items(["[Title] volume mascara", "[Title] beard trimmer"])
    assert encoder.dimension == 384
    assert (query @ items.T).argmax() == 0


def test_vectors_are_unit_float32_whatever_the_text(encoder: TextEncoder) -> None:
    vectors = encoder.encode_items(TEXTS)
    assert vectors.shape == (len(TEXTS), encoder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert encoder.encode_items([]).shape == (0, encoder.dimension)


def test_vectors_do_not_depend_on_the_company(encoder: TextEncoder) -> None:
    together = encoder.encode_items(TEXTS)
    alone = np.concatenate([encoder.encode_items([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_queries_and_items_are_cut_at_their_tokens(encoder: TextEncoder) -> None:
    words = ["comb"] * 60
    cut = encoder.encode_queries([" ".join(words[:14]), " ".join(words)])  # 14 + 2 marks
    np.testing.assert_allclose(cut[0], cut[1], atol=1e-6)
    assert encoder.features([" ".join(words)], 16)["input_ids"].shape == (1, 16)
    uncut = encoder.encode_items([" ".join(words[:14]), " ".join(words)])
    assert np.abs(uncut[0] - uncut[1]).max() > 1e-3


def test_tokens_are_counted_without_marks(encoder: TextEncoder) -> None:
    assert encoder.count_tokens(["", "comb", "curly hair, always"]) == [0, 1, 4]
    assert encoder.count_tokens([]) == []


def test_a_saved_encoder_gives_the_same_vectors_and_limits(
    encoder: TextEncoder, tmp_path: Path
) -> None:
    encoder.save(tmp_path / "a")
    again = TextEncoder.load(tmp_path / "a", EncoderSettings(precision="float32"))
    assert (again.max_query_tokens, again.max_item_tokens, again.name) == (16, 32, encoder.name)
    np.testing.assert_array_equal(again.encode_items(TEXTS), encoder.encode_items(TEXTS))
    encoder.save(tmp_path / "b")
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b")
    assert not list(tmp_path.rglob("*.bin"))
    assert str(tmp_path) not in (tmp_path / "b/config.json").read_text()


def test_limits_never_exceed_the_models_positions(tiny_model: Path) -> None:
    encoder = TextEncoder.load(tiny_model, EncoderSettings(max_item_tokens=8192))
    assert encoder.max_item_tokens == 512


def test_bfloat16_stays_close_to_float32(tiny_model: Path, encoder: TextEncoder) -> None:
    settings = EncoderSettings(max_query_tokens=16, max_item_tokens=32, precision="bfloat16")
    rounded = TextEncoder.load(tiny_model, settings).encode_items(TEXTS)
    assert (rounded * encoder.encode_items(TEXTS)).sum(1).min() > 0.999


def test_contexts_are_encoded_in_float32_on_every_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a GPU, which need not be here, what would be asked."""
    encoder = TextEncoder.__new__(TextEncoder)
    encoder.model = SimpleNamespace(device=torch.device("cuda"))  # type: ignore[assignment]
    encoder.max_query_tokens = 8
    asked: list[object] = []
    monkeypatch.setattr(
        TextEncoder, "_encode", lambda _, texts, *__, reduced=True: asked.append((texts, reduced))
    )
    encoder.encode_contexts(["a wedding"])
    assert asked == [(["a wedding"], False)]


def test_encoding_leaves_training_mode_and_forward_as_they_were(encoder: TextEncoder) -> None:
    encoder.model.train()
    encoder.encode_items(["x"])
    assert encoder.model.training
    assert "forward" not in vars(encoder.model)
    encoder.model.eval()


def test_inside_mixed_precision_encoding_nests(encoder: TextEncoder) -> None:
    with encoder.mixed_precision():
        wrapped = encoder.model.forward
        inner = encoder.encode_items(["x"])
        assert encoder.model.forward is wrapped
        out = encoder.model(encoder.features(["x"], 8))["sentence_embedding"]
    assert out.dtype == torch.float32
    np.testing.assert_array_equal(inner, encoder.encode_items(["x"]))


def test_an_unknown_hub_model_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EncoderUnavailable, match=r"nobody/no-such-encoder.*hf download"):
        TextEncoder.load("nobody/no-such-encoder", EncoderSettings())


def test_other_weights_in_the_package_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model_files._packaged_folder.cache_clear()
    monkeypatch.setattr(model_files, "PACKAGED_SHA256", "0" * 64)
    with pytest.raises(EncoderUnavailable, match="reinstall"):
        resolve_model(PACKAGED_ENCODER)
    model_files._packaged_folder.cache_clear()
