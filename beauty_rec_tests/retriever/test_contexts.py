"""Vectors of the texts that are asked with."""

import numpy as np
import polars as pl

from beauty_rec.retriever.contexts import context_vectors


class Encoder:
    """Counts what it encodes."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode_contexts(self, texts: list[str]) -> np.ndarray:
        self.asked += texts
        return np.array([[len(text), 1] for text in texts], np.float32).reshape(-1, 2)


def test_each_text_is_encoded_once_and_nothing_is_no_text() -> None:
    encoder = Encoder()
    asked = pl.Series(["work", " wedding ", None, "", "  ", "wedding", "work"])
    found = context_vectors(encoder, asked)  # type: ignore[arg-type]
    assert encoder.asked == found.ids == ["wedding", "work"]
    np.testing.assert_array_equal(found.matrix, [[7, 1], [4, 1]])
    nothing = context_vectors(encoder, pl.Series([None, " "]))  # type: ignore[arg-type]
    assert nothing.ids == []
