"""The split by time: train before the first cut, valid up to the second, test from there on.

>>> rows = pl.DataFrame({"timestamp": [5, 1, 2, 3, 4, 6, 7, 8, 9, 10]})
>>> cuts = cut_times(rows["timestamp"], CorpusSettings())
>>> cuts
Cuts(train_end_ms=9, valid_end_ms=10)
>>> split_reviews(rows, cuts)["split"].to_list()[:2]
['train', 'train']
"""

import math
from dataclasses import dataclass
from typing import TypeVar

import polars as pl

from beauty_rec.settings import SPLITS, CorpusSettings, Split

OFFICIAL_CUTS_MS = (1628643414042, 1658002729837)
"""Global cuts of the Amazon Reviews 2023 benchmark (https://amazon-reviews-2023.github.io)."""


Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)


class SplitError(ValueError):
    """The reviews cannot be cut into three parts that all have rows."""


@dataclass(frozen=True)
class Cuts:
    """Unix ms: train < ``train_end_ms`` <= valid < ``valid_end_ms`` <= test."""

    train_end_ms: int
    valid_end_ms: int


def cut_times(timestamps: pl.Series, settings: CorpusSettings) -> Cuts:
    """Return the cuts: those of the settings, or else by share of the rows in order of time.

    Args:
        timestamps: Int64, Unix ms, any order. Nothing else of a review has a say.
        settings: `train_end_ms` and `valid_end_ms`, where given, override the shares.

    All rows with the timestamp of a cut lie behind it, so that one moment is in one split; the
    shares are met as closely as that allows.

    Raises:
        SplitError: a split would have no rows.
    """
    if timestamps.is_empty():
        raise SplitError("there are no reviews to split")
    ordered = timestamps.sort()
    first, second = settings.train_end_ms, settings.valid_end_ms
    if first is None:
        first = _time_at(ordered, settings.train_share)
    if second is None:
        second = _time_at(ordered, settings.train_share + settings.valid_share)
    cuts = Cuts(first, second)
    for split, rows in zip(SPLITS, _sizes(ordered, cuts), strict=True):
        if rows <= 0:
            raise SplitError(_explain(split, ordered, cuts))
    return cuts


def split_reviews(reviews: Frame, cuts: Cuts) -> Frame:
    """Return ``reviews`` in their order with a String column `split`: train, valid or test."""
    train, valid, test = (pl.lit(name) for name in SPLITS)
    time = pl.col("timestamp")
    return reviews.with_columns(
        split=pl.when(time < cuts.train_end_ms)
        .then(train)
        .when(time < cuts.valid_end_ms)
        .then(valid)
        .otherwise(test)
    )


def _time_at(ordered: pl.Series, share: float) -> int:
    """Return the timestamp of the first row behind ``share`` of the rows."""
    row = math.floor(len(ordered) * share + 1e-9)  # 10 × (0.7 + 0.1) is 7.999…
    return int(ordered[min(row, len(ordered) - 1)])


def _sizes(ordered: pl.Series, cuts: Cuts) -> tuple[int, int, int]:
    before_first = int((ordered < cuts.train_end_ms).sum())
    before_second = int((ordered < cuts.valid_end_ms).sum())
    return before_first, before_second - before_first, len(ordered) - before_second


def _explain(split: Split, ordered: pl.Series, cuts: Cuts) -> str:
    moments = ordered.n_unique()
    if moments < len(SPLITS):  # no cut parts what happened at once
        return (
            f"the split {split!r} would have no rows: {len(ordered)} reviews of {moments} moment"
            f"{'s' * (moments > 1)} ({ordered[-1]} Unix ms the latest). A split by time needs "
            "three at least: give reviews of other times, or mend their timestamps"
        )
    return (
        f"the split {split!r} would have no rows: {len(ordered)} reviews from {ordered[0]} to "
        f"{ordered[-1]} (Unix ms), cut at {cuts.train_end_ms} and {cuts.valid_end_ms}. Give more "
        "reviews, or cuts of your own (corpus.train_end_ms < corpus.valid_end_ms)"
    )
