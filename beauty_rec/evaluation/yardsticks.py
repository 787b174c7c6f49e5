"""The popularity that every answer has to beat, asked on its own events.

It stands in the report beside what is served, and the choice of what is served looks at it: so it
is apart from the measurements that no model may depend on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from beauty_rec.evaluation.popularity import (
    EVER,
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
    def chosen(cls, asked: "AskedEvents") -> "Recencies":
        """Return the best forms on the events of valid."""
        if not len(asked.answers):
            return cls()
        best = best_recency(asked.overall)
        occasions = asked.contexts.is_not_null().any()
        return cls(best, best_recency(asked.within) if occasions else best)


class AskedEvents(NamedTuple):
    """Events as plain baselines are asked them.

    Attributes:
        contexts: of the events.
        ids: the answer set.
        train: the events that are counted.
        answers, seen: of each event, as rows of ``ids``.
    """

    contexts: pl.Series
    ids: list[str]
    train: pl.DataFrame
    answers: Indices
    seen: csr_array

    @classmethod
    def of(
        cls, events: pl.DataFrame, split_reviews: pl.DataFrame, scored_ids: list[str]
    ) -> "AskedEvents":
        """Return the ``events``.

        Args:
            events: of :func:`~beauty_rec.events.asked.split_events`.
            split_reviews: all reviews; only train is counted, all name the answer set.
            scored_ids: items that the stages know, first in the answer set.
        """
        ids = answer_set(scored_ids, split_reviews["parent_asin"])
        answers, seen = rows_of(events["parent_asin"], ids), item_lists(events["seen"], ids)
        return cls(events["context"], ids, split_reviews.filter(split="train"), answers, seen)

    def overall(self, form: Recency) -> Ranks:
        """Return the ranks by what sells in all."""
        scores = popularity_scores(self.train, self.ids, form)
        return ranks_of_static_scores(scores, self.answers, self.seen)

    def within(self, form: Recency) -> Ranks:
        """Return the ranks by what sells within the occasion."""
        return context_popularity_ranks(
            self.train, self.ids, self.contexts, self.answers, recency=form, seen=self.seen
        )


def popularity_ranks(asked: AskedEvents, recencies: Recencies) -> dict[str, Ranks]:
    """Return the ranks of :data:`POPULARITIES`, float64 ``[Q]`` each, in the order of the events.

    Args:
        asked: the events.
        recencies: how long the past counts.
    """
    return {
        "popularity": asked.overall(EVER),
        "recent_popularity": asked.overall(recencies.overall),
        WITHIN: asked.within(recencies.context),
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
        split_reviews, scored_ids: as of :meth:`AskedEvents.of`.
    """
    asked = AskedEvents.of(events, split_reviews, scored_ids)
    ranks = popularity_ranks(asked, Recencies.chosen(asked))
    place = rows_of(pl.Series(review_ids, dtype=pl.String), events["review_id"].to_list())
    found = {name: ndcg_at(own)[place] for name, own in ranks.items()}
    told = {name: reads_occasion(name, split_reviews) for name in set(scenarios)}
    found[WITHIN][np.array([not told[name] for name in scenarios], dtype=bool)] = np.nan
    return found
