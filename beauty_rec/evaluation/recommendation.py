"""Recommendation measured: the rank of each held-out event's item among the unseen items.

History is a user's earlier events; context and profile are as known before. The answer set is
every item of metadata and reviews that the user has not had. Candidate stages return 100 items, and
every metric is cut at 100 or below, so an answer that is not among them has no rank (infinity).
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from beauty_rec.artifacts import Vectors
from beauty_rec.evaluation.baselines import (
    context_popularity_ranks,
    item_cf_ranks,
    item_similarity,
    popularity_scores,
    ranks_of_static_scores,
    recent_events,
)
from beauty_rec.evaluation.block import Block, beyond_accuracy_block, split_section
from beauty_rec.events.places import answer_set, item_lists, rows_of
from beauty_rec.search.ranks import Indices, Ranks
from beauty_rec.settings import EvaluationSettings

SIMPLE = ["popularity", "recent_popularity", "context_popularity", "item_cf"]
VERSUS = {"user_tower": SIMPLE, "reranked": [*SIMPLE, "user_tower"]}
LIST_LENGTH = 10


def baseline_ranks(
    events: pl.DataFrame, split_reviews: pl.DataFrame, scored_ids: list[str]
) -> dict[str, Ranks]:
    """Return the ranks of the simple methods, float64 ``[Q]`` each, in the order of ``events``.

    Args:
        events: of :func:`split_events`.
        split_reviews: all reviews; only train is counted, all name the answer set.
        scored_ids: items that the stages know, first in the answer set.
    """
    ids = answer_set(scored_ids, split_reviews["parent_asin"])
    train = split_reviews.filter(split="train")
    answers = rows_of(events["parent_asin"], ids)
    seen = item_lists(events["seen"], ids)
    recent = popularity_scores(recent_events(train), ids)
    overall = popularity_scores(train, ids)
    return {
        "popularity": ranks_of_static_scores(overall, answers, seen),
        "recent_popularity": ranks_of_static_scores(recent, answers, seen),
        "context_popularity": context_popularity_ranks(
            train, ids, events["context"], answers, seen=seen
        ),
        "item_cf": item_cf_ranks(
            item_similarity(train, ids),
            events["history"],
            ids,
            answers,
            popularity=recent,
            seen=seen,
        ),
    }


def recommendation_section(
    events: pl.DataFrame,
    ranks: Mapping[str, Ranks],
    lists: Mapping[str, pl.DataFrame],
    split_reviews: pl.DataFrame,
    items: Vectors,
    settings: EvaluationSettings,
) -> dict[str, Block]:
    """Return the report's blocks of one split: accuracy, warm and cold apart, beyond accuracy.

    Args:
        events: of :func:`split_events`.
        ranks: by method, in the order of ``events``.
        lists: ``review_id, parent_asin, rank`` of the stages that make lists.
        split_reviews: of which train says how popular an item is.
        items: item vectors, for the diversity within a list; their ids are the catalogue.
        settings: bootstrap samples and seed.
    """
    cold = events["cold"].to_numpy()
    train = split_reviews.filter(split="train")
    in_train = events["parent_asin"].is_in(train["parent_asin"].unique().implode()).to_numpy()
    section = split_section(
        ranks,
        versus=VERSUS,
        groups={"warm": ~cold, "cold": cold, "in_train": in_train},
        samples=settings.bootstrap_samples,
        seed=settings.seed,
    )
    counts = popularity_scores(train, items.ids).astype(np.int64)
    for method, frame in lists.items():
        top = _top_lists(events, frame, items.ids)
        section[method]["beyond_accuracy"] = beyond_accuracy_block(top, counts, items.matrix)
    return section


def _top_lists(events: pl.DataFrame, lists: pl.DataFrame, ids: list[str]) -> Indices:
    """Return the first ``LIST_LENGTH`` items of each event as rows of ``ids``, -1 for none."""
    place = pl.DataFrame(
        {"review_id": events["review_id"], "query": np.arange(len(events), dtype=np.int64)}
    )
    top = lists.filter(pl.col("rank") <= LIST_LENGTH).join(place, on="review_id", how="inner")
    found = np.full((len(events), LIST_LENGTH), -1, dtype=np.int64)
    found[top["query"].to_numpy(), top["rank"].to_numpy().astype(np.int64) - 1] = rows_of(
        top["parent_asin"], ids
    )
    return found
