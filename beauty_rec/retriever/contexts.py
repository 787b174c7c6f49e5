"""What a context says to the text retriever: vectors of contexts."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors


class EncodesContexts(Protocol):
    """The part of a text encoder that contexts need."""

    def encode_contexts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors float32 ``[N, D]``."""
        ...


def context_vectors(encoder: EncodesContexts, contexts: pl.Series) -> Vectors:
    """Return the vectors of the distinct context texts (null and blank left out), by text."""
    texts = contexts.cast(pl.String).str.strip_chars().replace("", None).drop_nulls()
    distinct = texts.unique().sort().to_list()
    return Vectors(distinct, encoder.encode_contexts(distinct))
