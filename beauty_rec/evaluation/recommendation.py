"""Recommendation measured: the rank of each held-out event's item among the unseen items.

History is a user's earlier events; context and profile are as known before. The answer set is
every item of metadata and reviews that the user has not had. Candidate stages return 100 items, and
every metric is cut at 100 or below, so an answer that is not among them has no rank (infinity).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from beauty_rec.artifacts import Vectors
from beauty_rec.evaluation.baselines import item_cf_ranks, item_similarity
from beauty_rec.evaluation.block import Block, beyond_accuracy_block, split_section
from beauty_rec.evaluation.popularity import (
    FORMS,
    Recency,
    best_recency,
    context_popularity_ranks,
    popularity_scores,
)
from beauty_rec.events.places import answer_set, item_lists, rows_of
from beauty_rec.search.ranks import Indices, Ranks, ranks_of_static_scores
from beauty_rec.settings import EvaluationSettings

SIMPLE = ["popularity", "recent_popularity", "context_popularity", "item_cf"]
VERSUS = {"user_tower": SIMPLE, "reranked": [*SIMPLE, "user_tower"]}
LIST_LENGTH = 10


@dataclass(frozen=True)
class Recencies:
    """How long the past counts in popularity: the best on valid, in all and within an occasion."""

    overall: Recency = FORMS[0]
    context: Recency = FORMS[0]

    @classmethod
    def chosen(
        cls, events: pl.DataFrame, split_reviews: pl.DataFrame, scored_ids: list[str]
    ) -> "Recencies":
        """Return the best forms on the ``events`` of valid; the arguments are as below."""
        if not events.height:
            return cls()
        ids, train, answers, seen = _asked(events, split_reviews, scored_ids)

        def overall(form: Recency) -> Ranks:
            return ranks_of_static_scores(popularity_scores(train, ids, form), answers, seen)

        def within(form: Recency) -> Ranks:
            return context_popularity_ranks(
                train, ids, events["context"], answers, recency=form, seen=seen
            )

        best = best_recency(overall)
        occasions = events["context"].is_not_null().any()
        return cls(best, best_recency(within) if occasions else best)


def baseline_ranks(
    events: pl.DataFrame,
    split_reviews: pl.DataFrame,
    scored_ids: list[str],
    recencies: Recencies = Recencies(),  # it is frozen
) -> dict[str, Ranks]:
    """Return the ranks of the simple methods, float64 ``[Q]`` each, in the order of ``events``.

    Args:
        events: of :func:`split_events`.
        split_reviews: all reviews; only train is counted, all name the answer set.
        scored_ids: items that the stages know, first in the answer set.
        recencies: how long the past counts.
    """
    ids, train, answers, seen = _asked(events, split_reviews, scored_ids)
    recent = popularity_scores(train, ids, recencies.overall)
    return {
        "popularity": ranks_of_static_scores(popularity_scores(train, ids), answers, seen),
        "recent_popularity": ranks_of_static_scores(recent, answers, seen),
        "context_popularity": context_popularity_ranks(
            train, ids, events["context"], answers, recency=recencies.context, seen=seen
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


def _asked(
    events: pl.DataFrame, split_reviews: pl.DataFrame, scored_ids: list[str]
) -> tuple[list[str], pl.DataFrame, Indices, csr_array]:
    """Return the answer set, the train events, and each event's answer and seen items."""
    ids = answer_set(scored_ids, split_reviews["parent_asin"])
    train = split_reviews.filter(split="train")
    return ids, train, rows_of(events["parent_asin"], ids), item_lists(events["seen"], ids)


def recommendation_section(
    events: pl.DataFrame,
    ranks: Mapping[str, Ranks],
    lists: Mapping[str, pl.Series],
    split_reviews: pl.DataFrame,
    items: Vectors,
    settings: EvaluationSettings,
) -> dict[str, Block]:
    """Return the report's blocks of one split: accuracy, warm and cold apart, beyond accuracy.

    Intervals and tests take a user's events together, as those of the answer do.

    Args:
        events: of :func:`split_events`.
        ranks: by method, in the order of ``events``.
        lists: items, best first, of the stages that make lists, in the order of ``events``.
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
        groups={"warm": ~cold, "cold": cold, "in_train": in_train, "not_in_train": ~in_train},
        clusters=events["user_id"].rank("dense").to_numpy().astype(np.int64),
        samples=settings.bootstrap_samples,
        seed=settings.seed,
    )
    for method, of_events in lists.items():
        section[method]["beyond_accuracy"] = beyond_accuracy(of_events, train, items)
    return section


def beyond_accuracy(lists: pl.Series, train: pl.DataFrame, items: Vectors) -> Block:
    """Return coverage, novelty and diversity of the first ``LIST_LENGTH`` items of lists.

    Args:
        lists: item ids, best first; null: none.
        train: reviews that say how popular an item is.
        items: item vectors; their ids are the catalogue.
    """
    counts = popularity_scores(train, items.ids).astype(np.int64)
    first = lists.fill_null([]).list.head(LIST_LENGTH)
    lengths = first.list.len().to_numpy().astype(np.int64)
    place = np.arange(LIST_LENGTH) < lengths[:, None]  # [Q, K]
    top: Indices = np.full(place.shape, -1, dtype=np.int64)
    if place.any():
        flat = first.filter(first.list.len() > 0).explode()
        top[place] = rows_of(flat, items.ids)
    return beyond_accuracy_block(top, counts, items.matrix)
