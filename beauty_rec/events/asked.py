"""Which events of a split are asked: by the settings of the evaluation."""

from pathlib import Path

import polars as pl

from beauty_rec.events.folds import starts_of, with_context
from beauty_rec.events.queries import recommendation_queries, text_queries
from beauty_rec.settings import EvaluationSettings, Settings, Split


def split_events(
    split_reviews: pl.DataFrame,
    split: Split,
    settings: Settings,
    since_ms: int | None = None,
) -> pl.DataFrame:
    """Return the recommendation queries of a split, with histories; see protocol.

    A history is as long as the service reads it. With ``since_ms`` (of train) only those from that
    moment (Unix ms) on, at most ``evaluation.train_events``.
    """
    asked = settings.evaluation
    return recommendation_queries(
        split_reviews,
        split,
        max_history=settings.ranking.history_length,
        max_queries=asked.max_queries if since_ms is None else asked.train_events,
        seed=asked.seed,
        since_ms=since_ms,
    )


def known_events(
    split_reviews: pl.DataFrame, split: Split, settings: Settings, user_tower: Path
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the reviews with their contexts, and the events of a split that are asked.

    Of train those from the first fold on, which a tower can be asked for that never saw them.

    Args:
        split_reviews: rows that histories may reach into.
        split: whose events.
        settings: what the context is, how many events are asked, and how long histories are.
        user_tower: folder of the towers, which names the folds.
    """
    reviews = with_context(split_reviews, settings)
    since = starts_of(user_tower)[0] if split == "train" else None
    return reviews, split_events(reviews, split, settings, since)


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
