"""The frames that a set holds for people: cards of the items, events of the users, samples."""

from typing import Any

import polars as pl

from beauty_rec.items.text import KEYWORD_COLUMNS

MOST_KEYWORDS = 12

CARD_SCHEMA: dict[str, Any] = {
    "parent_asin": pl.String,
    "title": pl.String,
    "store": pl.String,
    "price": pl.Float64,
    "average_rating": pl.Float64,
    "rating_number": pl.Int32,
    "category": pl.String,
    "brand": pl.String,
    "summary": pl.String,
    "keywords": pl.List(pl.String),
    "keyword_reviews": pl.List(pl.Int32),
    "categories": pl.List(pl.String),
}


def item_cards(
    ids: list[str],
    items: pl.DataFrame,
    attributes: pl.DataFrame,
    merged: pl.DataFrame,
    train_keywords: pl.DataFrame,
) -> pl.DataFrame:
    """Return one row for each of ``ids``, in their order: what a result card shows.

    Args:
        ids: rows of the item matrix.
        items: ``raw_items``.
        attributes: ``item_attributes``.
        merged: ``merged_items``; its keywords are those of train reviews, most telling first.
        train_keywords: ``keywords[train]``: how many reviews of the item said each of them.

    Returns:
        The columns of :data:`CARD_SCHEMA`. ``average_rating`` and ``rating_number`` are shown to
        people and are no input of any model.
    """
    asked = pl.DataFrame({"parent_asin": ids}, schema={"parent_asin": pl.String})
    said = pl.concat(
        train_keywords.select("review_id", "parent_asin", keyword=facet).explode("keyword")
        for facet in KEYWORD_COLUMNS
    ).drop_nulls("keyword")
    counts = said.group_by("parent_asin", "keyword").agg(
        reviews=pl.col("review_id").n_unique().cast(pl.Int32)
    )
    keywords = (
        merged.select("parent_asin", keyword=pl.col("keywords").list.head(MOST_KEYWORDS))
        .explode("keyword")
        .drop_nulls("keyword")
        .join(counts, on=["parent_asin", "keyword"], how="inner", maintain_order="left")
        .group_by("parent_asin", maintain_order=True)
        .agg(keywords="keyword", keyword_reviews="reviews")
    )
    shown = ["parent_asin", "title", "store", "price", "average_rating", "rating_number"]
    shown += ["categories"] if "categories" in items.columns else []
    cards = (
        asked.join(items.select(shown), on="parent_asin", how="left", maintain_order="left")
        .join(
            attributes.select("parent_asin", *shown_attributes(attributes)),
            on="parent_asin",
            how="left",
            maintain_order="left",
        )
        .join(keywords, on="parent_asin", how="left", maintain_order="left")
    )
    missing = [pl.lit(None).alias(c) for c in CARD_SCHEMA if c not in cards.columns]
    return (
        cards.with_columns(missing)
        .with_columns(
            pl.col("title", "store", "summary").fill_null(""),
            pl.col("keywords", "keyword_reviews", "categories").fill_null([]),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in CARD_SCHEMA.items())
        .with_columns(pl.col("price", "average_rating").round(2))
    )


def shown_attributes(attributes: pl.DataFrame) -> list[str]:
    """Return the columns of an attributes frame that a card shows; a domain may lack some."""
    return [c for c in ("category", "brand", "summary") if attributes.schema.get(c) == pl.String]


def user_events(reviews: pl.DataFrame) -> pl.DataFrame:
    """Return all events as ``user_id, parent_asin, timestamp, rating``, by user, oldest first.

    Equal times keep the order of ``reviews``, as the pipeline's histories do.
    """
    return reviews.select("user_id", "parent_asin", "timestamp", "rating").sort(
        "user_id", "timestamp", maintain_order=True
    )


def sample_users(
    events: pl.DataFrame, profiles: pl.DataFrame, cards: pl.DataFrame, count: int
) -> pl.DataFrame:
    """Return ``user_id, events`` of a few users worth looking at: with a past, and a profile.

    The same users for the same events, whatever their order.
    """
    titled = cards.filter(pl.col("title") != "").select("parent_asin")
    seen = events.join(titled, on="parent_asin", how="semi")
    users = seen.group_by("user_id").agg(events=pl.len().cast(pl.Int32))
    given = users["user_id"].is_in(profiles["user_id"].implode())
    return (
        users.with_columns(given=given, fit=(pl.col("events") - 8).abs())
        .sort("given", "fit", "user_id", descending=[True, False, False])
        .head(count)
        .select("user_id", "events")
    )
