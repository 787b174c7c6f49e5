"""Text retrieval measured: the rank of every held-out review's item, by each method.

The answer set is every item. A method that cannot score an item (no text, no vector) ranks it
last, tied with the others of its kind; popularity scores every item, most of them zero.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.evaluation.baselines import BM25, popularity_scores, ranks_of_static_scores
from beauty_rec.evaluation.block import Block, split_section
from beauty_rec.events.places import answer_set, rows_of
from beauty_rec.search.ranks import Ranks, exact_ranks
from beauty_rec.settings import EvaluationSettings

VERSUS = {
    "base_encoder": ["popularity", "bm25"],
    "text_retriever": ["popularity", "bm25", "base_encoder"],
}


class Encoder(Protocol):
    """The part of a text encoder that a measurement needs."""

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors float32 ``[N, D]``."""
        ...

    def encode_items(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors float32 ``[N, D]``."""
        ...


def retrieval_ranks(
    queries: pl.DataFrame,
    split_reviews: pl.DataFrame,
    merged_items: pl.DataFrame,
    encoders: Mapping[str, tuple[NDArray[np.float32], Vectors]],
) -> pl.DataFrame:
    """Return the rank of each query's answer by each method.

    Args:
        queries: of :func:`split_queries`, ``Q`` rows.
        split_reviews: reviews of all splits; popularity counts those of train only.
        merged_items: ``parent_asin``, ``text`` of the items that have any text.
        encoders: query vectors float32 ``[Q, D]`` and item vectors, by method; the items are those
            of ``merged_items``, in its order.

    Returns:
        ``review_id, parent_asin, answerable, rank_<method> …`` (float64), in the order of
        ``queries``; ``answerable``: the item has a text.
    """
    scored = merged_items["parent_asin"].to_list()
    everything = answer_set(scored, split_reviews["parent_asin"])
    answers = rows_of(queries["parent_asin"], scored)
    train = split_reviews.filter(split="train")
    ranks: dict[str, Ranks] = {
        "popularity": ranks_of_static_scores(
            popularity_scores(train, everything), rows_of(queries["parent_asin"], everything)
        ),
        "bm25": BM25(merged_items["text"].to_list()).ranks(
            queries["query"].to_list(), answers, len(everything)
        ),
    }
    for method, (query_vectors, items) in encoders.items():
        if items.ids != scored:
            raise ValueError(f"the vectors of {method} are not those of the merged items")
        ranks[method] = exact_ranks(
            query_vectors, items.matrix, answers, len(everything), progress=f"rank {method}"
        )
    return queries.select(
        "review_id", "parent_asin", answerable=pl.Series(answers >= 0)
    ).with_columns(pl.Series(f"rank_{method}", values) for method, values in ranks.items())


def retrieval_section(ranks: pl.DataFrame, settings: EvaluationSettings) -> dict[str, Block]:
    """Return the report's blocks of one split, from :func:`retrieval_ranks`."""
    by_method = {
        name.removeprefix("rank_"): ranks[name].to_numpy()
        for name in ranks.columns
        if name.startswith("rank_")
    }
    return split_section(
        by_method,
        versus=VERSUS,
        groups={"answerable": ranks["answerable"].to_numpy()},
        samples=settings.bootstrap_samples,
        seed=settings.seed,
    )


def validation_recall(
    encoder: Encoder, queries: pl.DataFrame, merged_items: pl.DataFrame, k: int = 100
) -> float:
    """Return Recall@k of an encoder, in 0..1, exact search; what early stopping watches."""
    answers = rows_of(queries["parent_asin"], merged_items["parent_asin"].to_list())
    if not len(answers):
        return 0.0
    ranks = exact_ranks(
        encoder.encode_queries(queries["query"].to_list()),
        encoder.encode_items(merged_items["text"].to_list()),
        answers,
    )
    return float((ranks <= k).mean())
