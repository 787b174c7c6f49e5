"""What became of each shown item: one row an item of an answer, joined with the events it is owed.

An event counts for an item only if it names the answer that showed it; whatever else the user did
is nobody's.
"""

import polars as pl

from beauty_rec.recommender.online.events import CLICKS, CONVERSIONS

LAST_POSITION = 10
BEYOND = f"{LAST_POSITION + 1}+"
POSITIONS = (*map(str, range(1, LAST_POSITION + 1)), BEYOND)


def outcomes(impressions: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each shown item.

    Args:
        impressions: a row an answer: ``recommendation_id``, ``time_ms``, ``user_id`` (null:
            unknown), ``kind``, ``version``, ``variant``, ``order``, ``items`` and ``sources`` by
            position, ``catalogue_items``, ``experiment`` (null: none) and ``propensities`` by
            position (null: nothing was left to chance).
        events: ``recommendation_id``, ``parent_asin``, ``type``.

    Returns:
        ``kind``, ``day`` (UTC), ``version``, ``variant``, ``order``, ``source``, ``parent_asin``,
        ``position`` (1 to 10, ``11+``), ``place`` (the same, from 0), ``clicked``, ``bought``,
        ``answer`` (its number), ``cluster`` (whose rows are alike: a user's, or an unknown one's of
        one answer), ``unit`` (an item to a user, or to all unknown ones), ``catalogue_items``,
        ``experiment``, ``chosen`` (the propensity of the item at its place).
    """
    shown = impressions.filter(pl.col("items").list.len() > 0).select(
        "recommendation_id", "kind", "version", "variant", "order", "user_id", "catalogue_items",
        "experiment",
        pl.from_epoch("time_ms", time_unit="ms").dt.date().alias("day"),
        pl.col("items").alias("parent_asin"), pl.col("sources").alias("source"),
        pl.int_ranges(0, pl.col("items").list.len(), dtype=pl.Int64).alias("place"),
        pl.coalesce(
            "propensities", pl.lit(1.0).repeat_by(pl.col("items").list.len())
        ).alias("chosen"),
    ).explode("parent_asin", "source", "place", "chosen")  # fmt: skip
    done = events.group_by("recommendation_id", "parent_asin").agg(
        clicked=pl.col("type").is_in(CLICKS).any(), bought=pl.col("type").is_in(CONVERSIONS).any()
    )
    who = pl.coalesce(pl.format("u{}", "user_id"), pl.format("a{}", "recommendation_id"))
    return (
        shown.join(done, on=["recommendation_id", "parent_asin"], how="left", maintain_order="left")
        .with_columns(
            pl.col("clicked", "bought").fill_null(False),
            pl.col("place").clip(upper_bound=LAST_POSITION),
            answer=pl.col("recommendation_id").rank("dense").cast(pl.Int64),
            cluster=who.rank("dense").cast(pl.Int64),
            unit=pl.struct("user_id", "parent_asin").rank("dense").cast(pl.Int64),
        )
        .with_columns(
            position=pl.col("place").replace_strict(
                dict(enumerate(POSITIONS)), return_dtype=pl.String
            )
        )
        .drop("recommendation_id", "user_id")
    )
