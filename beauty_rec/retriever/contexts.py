"""What a context says to the text retriever: vectors of contexts."""

import polars as pl

from beauty_rec.artifacts import Vectors
from beauty_rec.retriever.encoder import TextEncoder


def context_vectors(encoder: TextEncoder, contexts: pl.Series) -> Vectors:
    """Return the vectors of the distinct context texts (null and blank left out), by text."""
    texts = contexts.cast(pl.String).str.strip_chars().replace("", None).drop_nulls()
    distinct = texts.unique().sort().to_list()
    return Vectors(distinct, encoder.encode_contexts(distinct))
