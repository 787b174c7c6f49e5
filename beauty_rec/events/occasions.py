"""Occasions: the contexts that train names again and again, unlike free texts."""

import polars as pl

from beauty_rec.events.folds import with_context
from beauty_rec.settings import Settings

MOST = 200
"""Occasions that are told apart: the most frequent ones."""


def said_in(events: pl.DataFrame) -> pl.Series:
    """Return the context of each event, plain and in lower case; null where there is none."""
    if "context" not in events.columns:
        return pl.Series("context", [None] * len(events), dtype=pl.String)
    return events["context"].cast(pl.String).str.strip_chars().str.to_lowercase()


def occasions(events: pl.DataFrame) -> list[str]:
    """Return the most frequent contexts, sorted; of equally frequent ones the first by name.

    Nothing where of the events with a context more than every second says something else: those are
    free texts, however many events say nothing.
    """
    said = said_in(events).drop_nulls()
    counts = said.value_counts(name="events")
    if len(counts) > len(said) / 2:
        return []
    frequent = counts.sort("events", "context", descending=[True, False])["context"]
    return sorted(frequent.head(MOST))


def with_told_contexts(reviews: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Return the reviews with the contexts that a user tower is told.

    They are the occasions of train. Any other text is one of the shopper's own, which the sources
    that read texts look for; a tower that learned from such would be asked without them. Where an
    event's own text stands for its context it is told every one.

    Args:
        reviews: rows of ``split_reviews``, those of train among them.
        settings: of the run.
    """
    reviews = with_context(reviews, settings)
    if settings.reads_texts:
        return reviews
    known = said_in(reviews).is_in(occasions(reviews.filter(split="train")))
    return reviews.with_columns(context=pl.when(known).then(pl.col("context")))
