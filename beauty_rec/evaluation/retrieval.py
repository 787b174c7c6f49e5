"""Text retrieval measured: the rank of every held-out review's item, by each method.

The answer set is every item. A method that cannot score an item (no text, no vector) ranks it
last, tied with the others of its kind; popularity scores every item, most of them zero.

A review asks in two ways: with its text, and with its keywords.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.evaluation.baselines import BM25
from beauty_rec.evaluation.block import Block, split_section
from beauty_rec.evaluation.popularity import popularity_scores
from beauty_rec.evaluation.report.document import KEYWORD_METHODS, RETRIEVAL_METHODS
from beauty_rec.events.asked import split_queries
from beauty_rec.events.places import answer_set, rows_of
from beauty_rec.items.text import keyword_query
from beauty_rec.measures.metrics import recall_at, reciprocal_rank
from beauty_rec.search.ranks import Ranks, exact_ranks, ranks_of_static_scores
from beauty_rec.settings import EvaluationSettings, Split

REVIEW_TEXT, KEYWORDS = "review_text", "keywords"
"""What a query is made of, as ``pairs.query_type`` has it."""
JUDGED_QUERIES, JUDGED_ITEMS = 5_000, 20_000
"""What an encoder is judged by while it is trained, at most."""
TIES = 1e-6
"""What an encoder's MRR weighs beside its recall there: less than one query of recall."""
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


def retrieval_queries(
    split_reviews: pl.DataFrame,
    keywords: pl.DataFrame,
    split: Split,
    settings: EvaluationSettings,
) -> dict[str, pl.DataFrame]:
    """Return ``review_id, parent_asin, query`` of a split, by what the queries are made of.

    Args:
        split_reviews: reviews of all splits.
        keywords: of the reviews of ``split``; one without any keyword asks nothing.
        split: which reviews ask.
        settings: the cap of the split holds for each kind, and that of keywords beside it.
    """
    some, caps = settings.keyword_queries, ("max_queries", "train_queries")
    least = {cap: min(some, getattr(settings, cap)) for cap in caps}
    return {
        REVIEW_TEXT: split_queries(split_reviews, split, settings),
        KEYWORDS: split_queries(
            keywords.with_columns(split=pl.lit(split), text=keyword_query()),
            split,
            settings.model_copy(update={"min_query_chars": 1, **least}),
        ),
    }


def retrieval_ranks(
    queries: pl.DataFrame,
    split_reviews: pl.DataFrame,
    merged_items: pl.DataFrame,
    lexical: BM25,
    encoders: Mapping[str, tuple[NDArray[np.float32], Vectors]],
) -> pl.DataFrame:
    """Return the rank of each query's answer by each method.

    Args:
        queries: of one kind of :func:`retrieval_queries`, ``Q`` rows.
        split_reviews: reviews of all splits; popularity counts those of train only.
        merged_items: ``parent_asin``, ``text`` of the items that have any text.
        lexical: over the texts of ``merged_items``.
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
        "bm25": lexical.ranks(queries["query"].to_list(), answers, len(everything)),
    }
    for method, (query_vectors, items) in encoders.items():
        if items.ids != scored:
            raise ValueError(
                f"the vectors of {method} are not those of the merged items: make them anew first "
                "(base_embeddings, which nights leave as it is, or item_embeddings)"
            )
        ranks[method] = exact_ranks(
            query_vectors, items.matrix, answers, len(everything), progress=f"rank {method}"
        )
    return queries.select(
        "review_id", "parent_asin", answerable=pl.Series(answers >= 0)
    ).with_columns(pl.Series(f"rank_{method}", values) for method, values in ranks.items())


def retrieval_sections(
    ranks: pl.DataFrame, settings: EvaluationSettings, *, held_out: bool = True
) -> dict[str, dict[str, Block]]:
    """Return the report's blocks of one split by kind of query, then by method.

    Args:
        ranks: of :func:`retrieval_ranks`, with the kind of each query as ``query_type``.
        settings: of the intervals and tests.
        held_out: the queries are none of train, whose words are in the item texts: there nothing is
            tested.
    """
    versus = VERSUS if held_out else {}
    asked = {REVIEW_TEXT: RETRIEVAL_METHODS, KEYWORDS: KEYWORD_METHODS}
    return {
        kind: _section(ranks.filter(query_type=kind), settings, methods, versus)
        for kind, methods in asked.items()
    }


def _section(
    ranks: pl.DataFrame,
    settings: EvaluationSettings,
    methods: Sequence[str],
    versus: Mapping[str, Sequence[str]],
) -> dict[str, Block]:
    measured = [name.removeprefix("rank_") for name in ranks.columns if name.startswith("rank_")]
    by_method = {
        method: ranks[f"rank_{method}"].to_numpy() for method in measured if method in methods
    }
    return split_section(
        by_method,
        versus=versus,
        groups={"answerable": ranks["answerable"].to_numpy()},
        samples=settings.bootstrap_samples,
        seed=settings.seed,
    )


def validation_recall(
    encoder: Encoder, queries: pl.DataFrame, merged_items: pl.DataFrame, k: int = 100
) -> float:
    """Return Recall@k of an encoder, in 0..1, exact search; what early stopping watches.

    Equal recalls are told apart by MRR, a millionth of which is added: of a shop of a hundred items
    every encoder finds all. Of more than :data:`JUDGED_QUERIES` or :data:`JUDGED_ITEMS` some are
    asked, the same ones at every look: to encode a large shop several times would take longer than
    the training. The answers are always among the items.
    """
    asked = queries[_spread(queries.height, JUDGED_QUERIES)]
    answers = rows_of(asked["parent_asin"], merged_items["parent_asin"].to_list())
    if not len(answers):
        return 0.0
    known = np.unique(answers[answers >= 0])
    others = np.setdiff1d(np.arange(merged_items.height), known, assume_unique=True)
    others = others[_spread(len(others), max(0, JUDGED_ITEMS - len(known)))]
    items = np.union1d(known, others)
    ranks = exact_ranks(
        encoder.encode_queries(asked["query"].to_list()),
        encoder.encode_items(merged_items["text"][items].to_list()),
        np.where(answers < 0, -1, np.searchsorted(items, answers)),
    )
    return float(recall_at(ranks, k).mean() + TIES * reciprocal_rank(ranks, k).mean())


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """Return all rows of ``count``, or ``most`` of them evenly spread."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)
