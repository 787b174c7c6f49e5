"""Which events of a split are asked: by the settings of the evaluation."""

import polars as pl

from beauty_rec.events.queries import recommendation_queries, sample_events, text_queries
from beauty_rec.settings import EvaluationSettings, Split


def split_events(
    split_reviews: pl.DataFrame,
    split: Split,
    settings: EvaluationSettings,
    since_ms: int | None = None,
) -> pl.DataFrame:
    """Return the recommendation queries of a split, with histories; see protocol.

    With ``since_ms`` (of train) only those from that moment (Unix ms) on, at most
    ``settings.train_events``.
    """
    if since_ms is None:
        return recommendation_queries(
            split_reviews, split, max_queries=settings.max_queries, seed=settings.seed
        )
    events = recommendation_queries(split_reviews, split)
    return sample_events(
        events.filter(pl.col("timestamp") >= since_ms), settings.train_events, seed=settings.seed
    )


def split_queries(
    split_reviews: pl.DataFrame, split: Split, settings: EvaluationSettings
) -> pl.DataFrame:
    """Return ``review_id, parent_asin, query`` of a split; of train a smaller sample."""
    cap = settings.train_queries if split == "train" else settings.max_queries
    return text_queries(
        split_reviews,
        split,
        min_chars=settings.min_query_chars,
        max_queries=cap,
        seed=settings.seed,
    )
