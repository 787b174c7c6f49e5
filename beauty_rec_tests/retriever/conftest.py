"""A tiny random encoder: trains in a second, no download."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from beauty_rec.retriever.model_files import resolve_model
from beauty_rec.settings import PACKAGED_ENCODER


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a two-layer BERT, 32-d, random weights, with dropout."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny-bert")
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config).save_pretrained(folder / "bert")
    AutoTokenizer.from_pretrained(resolve_model(PACKAGED_ENCODER)).save_pretrained(folder / "bert")
    transformer = Transformer(str(folder / "bert"))
    model = SentenceTransformer(modules=[transformer, Pooling(32)], device="cpu")
    model.save_pretrained(str(folder / "tiny"), create_model_card=False)
    return folder / "tiny"


@pytest.fixture(scope="session")
def make_pairs() -> Callable[[int], pl.DataFrame]:
    """Pairs of ``n`` items, three queries each."""
    nouns = ["brush", "serum", "comb", "lipstick", "soap", "wig", "lotion", "razor"]

    def make(items: int) -> pl.DataFrame:
        rows = [
            (
                f"{words} {nouns[i % 8]} number {i}",
                f"[Title] {nouns[i % 8]} {i}",
                f"B{i:03}",
                f"r{i:03}{j}",
            )
            for i in range(items)
            for j, words in enumerate(("I love this", "a very good", "never again such a"))
        ]
        return pl.DataFrame(
            rows, schema=["query", "positive", "parent_asin", "review_id"], orient="row"
        )

    return make
