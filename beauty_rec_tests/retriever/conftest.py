"""Training pairs for a tiny encoder."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from beauty_rec.settings import EncoderSettings


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


@pytest.fixture
def encoder_settings(tiny_model: Path) -> EncoderSettings:
    return EncoderSettings(
        model=str(tiny_model),
        max_query_tokens=16,
        max_item_tokens=16,
        precision="float32",
        device="cpu",
    )
