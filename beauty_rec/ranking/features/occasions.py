"""Occasions: the contexts that train names again and again, unlike free texts."""

import polars as pl

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
