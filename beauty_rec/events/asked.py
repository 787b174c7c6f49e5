"""Which events of a split are asked: by the settings of the evaluation."""

from pathlib import Path

import polars as pl

from beauty_rec.events.folds import first_fold, with_context
from beauty_rec.events.queries import recommendation_queries, sample_events, text_queries
from beauty_rec.settings import EvaluationSettings, Settings, Split


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


def asked_events(
    split_reviews: pl.DataFrame, split: Split, settings: Settings, user_tower: Path
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the reviews with the context that the settings choose, and the events of a split.

    Of train those of the out-of-fold part: what the towers in ``user_tower`` were not trained on.
    """
    reviews = with_context(split_reviews, settings)
    since = first_fold(user_tower) if split == "train" else None
    return reviews, split_events(reviews, split, settings.evaluation, since)


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
