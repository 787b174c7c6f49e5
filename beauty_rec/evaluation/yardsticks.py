"""The popularity that every answer has to beat, asked on its own events.

It stands in the report beside what is served, and the choice of what is served looks at it: so it
is apart from the measurements that no model may depend on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from beauty_rec.evaluation.popularity import (
    FORMS,
    Recency,
    best_recency,
    context_popularity_ranks,
    popularity_scores,
)
from beauty_rec.events.places import answer_set, item_lists, rows_of
from beauty_rec.measures.metrics import ndcg_at
from beauty_rec.search.ranks import Indices, Ranks, ranks_of_static_scores

WITHIN = "context_popularity"
"""Reads the occasion; without one it is recent popularity."""
POPULARITIES = ("popularity", "recent_popularity", WITHIN)


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
        ids, train, answers, seen = asked(events, split_reviews, scored_ids)

        def overall(form: Recency) -> Ranks:
            return ranks_of_static_scores(popularity_scores(train, ids, form), answers, seen)

        def within(form: Recency) -> Ranks:
            return context_popularity_ranks(
                train, ids, events["context"], answers, recency=form, seen=seen
            )

        best = best_recency(overall)
        occasions = events["context"].is_not_null().any()
        return cls(best, best_recency(within) if occasions else best)


def popularity_ranks(
    events: pl.DataFrame,
    split_reviews: pl.DataFrame,
    scored_ids: list[str],
    recencies: Recencies = Recencies(),  # it is frozen
) -> dict[str, Ranks]:
    """Return the ranks of :data:`POPULARITIES`, float64 ``[Q]`` each, in the order of ``events``.

    Args:
        events: of :func:`~beauty_rec.events.asked.split_events`.
        split_reviews: all reviews; only train is counted, all name the answer set.
        scored_ids: items that the stages know, first in the answer set.
        recencies: how long the past counts.
    """
    ids, train, answers, seen = asked(events, split_reviews, scored_ids)
    recent = popularity_scores(train, ids, recencies.overall)
    return {
        "popularity": ranks_of_static_scores(popularity_scores(train, ids), answers, seen),
        "recent_popularity": ranks_of_static_scores(recent, answers, seen),
        WITHIN: context_popularity_ranks(
            train, ids, events["context"], answers, recency=recencies.context, seen=seen
        ),
    }


def reads_occasion(scenario: str, reviews: pl.DataFrame) -> bool:
    """Whether a scenario tells an occasion: the words of a review are none."""
    return scenario == "with_text" and bool(reviews["context"].is_not_null().any())


def popularity_gains(
    review_ids: Sequence[str],
    scenarios: Sequence[str],
    events: pl.DataFrame,
    split_reviews: pl.DataFrame,
    scored_ids: list[str],
) -> dict[str, NDArray[np.float64]]:
    """Return NDCG@10 of each ask of valid by :data:`POPULARITIES`, float64 ``[Q]`` each.

    NaN where a form does not answer: within an occasion where none is told.

    Args:
        review_ids, scenarios: of the asks.
        events: of valid, those of the asks among them.
        split_reviews, scored_ids: as of :func:`popularity_ranks`.
    """
    recencies = Recencies.chosen(events, split_reviews, scored_ids)
    ranks = popularity_ranks(events, split_reviews, scored_ids, recencies)
    place = rows_of(pl.Series(review_ids, dtype=pl.String), events["review_id"].to_list())
    found = {name: ndcg_at(own)[place] for name, own in ranks.items()}
    told = {name: reads_occasion(name, split_reviews) for name in set(scenarios)}
    found[WITHIN][np.array([not told[name] for name in scenarios], dtype=bool)] = np.nan
    return found


def asked(
    events: pl.DataFrame, split_reviews: pl.DataFrame, scored_ids: list[str]
) -> tuple[list[str], pl.DataFrame, Indices, csr_array]:
    """Return the answer set, the train events, and each event's answer and seen items."""
    ids = answer_set(scored_ids, split_reviews["parent_asin"])
    train = split_reviews.filter(split="train")
    return ids, train, rows_of(events["parent_asin"], ids), item_lists(events["seen"], ids)
