"""Vectors of context texts, and what they make the text retriever say of candidates."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.events.places import rows_of
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.search.near_ties import smooth_ranks
from beauty_rec.search.top import top_k

TOP = 100
TIE = 1e-3
"""Cosines closer than this share a rank in part."""
CHUNK = 256


def context_vectors(encoder: TextEncoder, contexts: pl.Series) -> Vectors:
    """Return the vectors of the distinct context texts (null and blank left out), by text."""
    texts = contexts.cast(pl.String).str.strip_chars().replace("", None).drop_nulls()
    distinct = texts.unique().sort().to_list()
    return Vectors(distinct, encoder.encode_contexts(distinct))


def with_text_scores(
    candidates: pl.DataFrame, contexts: pl.DataFrame, vectors: Vectors, items: Vectors
) -> pl.DataFrame:
    """Add ``text_score`` and ``text_rank``: what the text retriever says of each candidate.

    Args:
        candidates: ``review_id, parent_asin``, any more.
        contexts: ``review_id, context``; a context without a vector gives null in both columns.
        vectors: of the contexts, ``[C, D]``.
        items: of the item texts, ``[N, D]``; an item without one has null in both columns.

    Returns:
        The candidates in their order; ``text_score``: cosine, float32; ``text_rank``: as
        :func:`text_ranks` has it, float32.
    """
    asked = contexts.select("review_id", context=pl.col("context").str.strip_chars())
    rows = candidates.join(asked, on="review_id", how="left", maintain_order="left")
    context = rows_of(rows["context"], vectors.ids)
    item = rows_of(rows["parent_asin"], items.ids)
    score = np.full(len(rows), np.nan, dtype=np.float32)
    rank = np.full(len(rows), np.nan, dtype=np.float32)
    matrix = np.asarray(items.matrix)
    known = (context >= 0) & (item >= 0)
    used = np.unique(context[known])
    for start in range(0, len(used), CHUNK):
        chosen = used[start : start + CHUNK]
        scores = np.asarray(vectors.matrix[chosen]) @ matrix.T  # [c, N]
        _, best = top_k(scores, TOP)
        here = np.flatnonzero(known & np.isin(context, chosen))
        place = np.searchsorted(chosen, context[here])
        score[here] = scores[place, item[here]]
        for query in np.unique(place):
            rows_of_query = here[place == query]
            rank[rows_of_query] = text_ranks(best[query], score[rows_of_query])
    return candidates.with_columns(
        text_score=pl.Series(score).fill_nan(None),
        text_rank=pl.Series(rank).fill_nan(None),
    )


def text_ranks(best: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the ranks, from 1, of cosines [n] among all items, whose 100 best are ``best``.

    Near ties share a rank in part; whatever is beyond the first 100 has 101.
    """
    return smooth_ranks(best[:TOP], scores, TIE)
