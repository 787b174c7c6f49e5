"""Parts of train in time: which events are learned from candidates of which moment."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from beauty_rec.settings import Settings

FOLDS = "folds.json"


def with_context(reviews: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Return the reviews with the context that the settings choose."""
    if settings.recommendation.context_from == "review_text":
        return reviews.with_columns(context=pl.col("text").replace("", None))
    return reviews


def fold_starts(reviews: pl.DataFrame, shares: tuple[float, ...]) -> list[int]:
    """Return the moments (Unix ms, ascending, distinct) at which the parts of train begin."""
    times = reviews.filter(split="train")["timestamp"].sort()
    return sorted({int(times[min(len(times) - 1, int(share * len(times)))]) for share in shares})


def starts_of(user_tower: Path) -> list[int]:
    """Return the moments (Unix ms, ascending) at which the out-of-fold parts of train begin."""
    found: list[int] = json.loads((user_tower / FOLDS).read_text(encoding="utf-8"))
    return found


def fold_of(events: pl.DataFrame, starts: Sequence[int]) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield each fold's start (Unix ms) and its events, the earliest first."""
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        inside = pl.col("timestamp") >= start
        if end is not None:
            inside &= pl.col("timestamp") < end
        yield start, events.filter(inside)
