"""Which events of a split are asked: by the settings of the evaluation."""

from collections.abc import Collection, Hashable
from pathlib import Path

import polars as pl

from beauty_rec.events.folds import starts_of, with_context
from beauty_rec.events.queries import recommendation_queries, text_queries
from beauty_rec.settings import SPLITS, EvaluationSettings, Settings, Split


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
        max_user_events=settings.ranking.max_user_events,
    )


def known_events(
    split_reviews: pl.DataFrame, split: Split, settings: Settings, user_tower: Path
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the reviews with their contexts, and the events of a split that are asked.

    Of train those from the first fold on, which a tower can be asked for that never saw them.
    Reviews of later splits name items of the answer set and say nothing: a shop may have noted
    occasions since test alone, which must not change how valid is asked.

    Args:
        split_reviews: rows that histories may reach into.
        split: whose events.
        settings: what the context is, how many events are asked, and how long histories are.
        user_tower: folder of the towers, which names the folds.
    """
    said = pl.col("split").is_in(SPLITS[: SPLITS.index(split) + 1])
    reviews = with_context(split_reviews, settings).with_columns(
        pl.when(said).then(name) for name in ("context", "text")
    )
    since = starts_of(user_tower)[0] if split == "train" else None
    return reviews, split_events(reviews, split, settings, since)


class OtherEventsError(RuntimeError):
    """What was measured is not of the events of now; the message says how to measure anew."""


def refuse_other_events(
    measured: str,
    split: Split,
    asks: Collection[Hashable],
    events: Collection[Hashable],
) -> None:
    """Refuse what was asked of other events than a split has now.

    A night may leave what was measured as it is, while new reviews move the cuts of the splits.

    Args:
        measured: the asset that holds the asks.
        split: of which it is.
        asks: ids of the events that were asked, or pairs of a scenario and an id.
        events: the same of those that the split has now.

    Raises:
        OtherEventsError: some asks are of none of the events.
    """
    others = len(set(asks).difference(events))
    if others:
        raise OtherEventsError(
            f"{measured}[{split}] was measured of other events: {others:,} of its {len(asks):,} "
            f"asks are of no event that {split} has now; measure anew: "
            "beauty-rec run --select user_candidates+++ --train never"
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
