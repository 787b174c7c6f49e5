"""Which held-out events are queries, what may answer them, and what was known before.

Everything here is a function of the reviews alone, so each method is measured on the same queries.
"""

import hashlib

import numpy as np
import polars as pl

from beauty_rec.events.arrays import MAX_USER_EVENTS, latest_of_users
from beauty_rec.settings import Split

MAX_HISTORY = 50


def text_queries(
    split_reviews: pl.DataFrame,
    split: Split,
    *,
    column: str = "text",
    min_chars: int = 20,
    max_queries: int | None = None,
    seed: int = 13,
) -> pl.DataFrame:
    """Return the text queries of a split: the review's own words, its item being the answer.

    Args:
        split_reviews: reviews with ``split``; ``text`` is cleaned.
        split: which reviews ask.
        column: what they ask; a column of keywords, joined to one string, serves as well.
        min_chars: a shorter text (surrounding white space aside) asks nothing.
        max_queries: cap, see :func:`sample_events`.
        seed: of the cap.

    Returns:
        ``review_id, parent_asin, query``, sorted by ``review_id``.
    """
    found = (
        split_reviews.lazy()
        .filter(pl.col("split") == split)
        .select("review_id", "parent_asin", query=pl.col(column).str.strip_chars())
        .filter(pl.col("query").str.len_chars() >= min_chars)
        .collect()
    )
    return sample_events(found, max_queries, seed=seed)


def sample_events(events: pl.DataFrame, cap: int | None, *, seed: int = 13) -> pl.DataFrame:
    """Keep at most ``cap`` events, drawn by a hash of ``(seed, review_id)``; sorted by review_id.

    The draw does not depend on the order of the rows, and a row more or less moves no other.
    """
    if cap is None or len(events) <= cap:
        return events.sort("review_id")
    keys = [
        hashlib.blake2b(f"{seed}\0{review_id}".encode(), digest_size=8).digest()
        for review_id in events["review_id"]
    ]
    chosen = sorted(range(len(keys)), key=keys.__getitem__)[:cap]
    return events[chosen].sort("review_id")


def recommendation_queries(
    split_reviews: pl.DataFrame,
    split: Split,
    *,
    max_history: int = MAX_HISTORY,
    max_queries: int | None = None,
    seed: int = 13,
    since_ms: int | None = None,
    max_user_events: int = MAX_USER_EVENTS,
) -> pl.DataFrame:
    """Return the recommendation queries of a split: each event of a user with what came before.

    History is the user's events of every split with an earlier timestamp (events of one instant do
    not know each other), the last ``max_history`` of them, oldest first. An event whose item the
    user had before is no query.

    What is beyond ``max_queries``, or before ``since_ms`` (Unix ms), is left out before histories
    are made: all of train's take the square of what a user has done. For the same reason no more
    than the latest ``max_user_events`` of a user are asked, and no more than so many events before
    an ask are ``seen``.

    Returns:
        ``review_id, user_id, parent_asin, timestamp, context, history, history_ratings,
        history_timestamps, seen, cold``, sorted by ``review_id``. ``seen``: all earlier items, each
        once, not only those of the history (at most ``max_user_events`` back);
        ``cold``: there are none.
    """
    events = (
        split_reviews.lazy()
        .select("review_id", "user_id", "parent_asin", "timestamp", "context", "rating", "split")
        .sort("user_id", "timestamp", "review_id")
        .with_row_index("start")
        .with_columns(
            start=pl.col("start").cast(pl.Int64).min().over("user_id"),
            earlier=pl.col("timestamp").rank("min").over("user_id").cast(pl.Int64) - 1,
            repeat=pl.col("timestamp").min().over("user_id", "parent_asin") < pl.col("timestamp"),
        )
        .collect()
    )
    asked = (pl.col("split") == split) & ~pl.col("repeat")
    if since_ms is not None:
        asked &= pl.col("timestamp") >= since_ms
    own = events.filter(asked)
    user, time = own["user_id"].rank("dense").to_numpy().astype(np.int64) - 1, own["timestamp"]
    own = own.filter(latest_of_users(user, time.to_numpy(), max_user_events))
    queries = sample_events(own, max_queries, seed=seed)
    recent = _earlier_events(queries, min(max_history, max_user_events))
    history = (
        recent.with_columns(events[recent["at"]].select("parent_asin", "rating", "timestamp"))
        .group_by("query", maintain_order=True)
        .agg(
            history="parent_asin",
            history_ratings="rating",
            history_timestamps="timestamp",
        )
    )
    everything = _earlier_events(queries, max_user_events)
    seen = (
        everything.with_columns(events[everything["at"]].select(seen="parent_asin"))
        .unique(["query", "seen"], maintain_order=True)
        .group_by("query", maintain_order=True)
        .agg("seen")
    )
    return (
        queries.select("review_id", "user_id", "parent_asin", "timestamp", "context", "earlier")
        .with_row_index("query")
        .with_columns(pl.col("query").cast(pl.Int64))
        .join(history, on="query", how="left", maintain_order="left")
        .join(seen, on="query", how="left", maintain_order="left")
        .with_columns(
            pl.col("history", "history_ratings", "history_timestamps", "seen").fill_null([]),
            cold=pl.col("earlier") == 0,
        )
        .drop("query", "earlier")
    )


def crowded(reviews: pl.LazyFrame, most: int) -> str | None:
    """Return a warning of the users who have more than ``most`` events; None where nobody has.

    Of their ids it shows the first two characters: it stands in logs.
    """
    counts = reviews.group_by("user_id").len().filter(pl.col("len") > most)
    found = counts.sort("len", "user_id", descending=[True, False]).collect()
    if found.is_empty():
        return None
    named = [f"{user[:2]}… has {events:,}" for user, events in found.head(3).iter_rows()]
    more = f" and {len(found) - 3:,} more" if len(found) > 3 else ""
    return (
        f"users with more than ranking.max_user_events = {most:,} events: {', '.join(named)}{more}"
        ". Their latest are a history, company of one another and asks; the others count for what "
        "sells alone. A guest checkout is no user: give its events a user_id each"
    )


def _earlier_events(queries: pl.DataFrame, limit: int) -> pl.DataFrame:
    """Return (query, at): rows of the sorted events before each query, the last ``limit``."""
    earlier = queries["earlier"].to_numpy()
    kept = np.minimum(earlier, limit)
    first = queries["start"].to_numpy() + earlier - kept
    # Positions 0, 1, … within each query: a global count less the count before the query.
    within = np.arange(kept.sum()) - np.repeat(np.cumsum(kept) - kept, kept)
    return pl.DataFrame(
        {"query": np.repeat(np.arange(len(queries)), kept), "at": np.repeat(first, kept) + within},
        schema={"query": pl.Int64, "at": pl.Int64},
    )
