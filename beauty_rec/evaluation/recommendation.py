"""Recommendation measured: the rank of each held-out event's item among the unseen items.

History is a user's earlier events; context and profile are as known before. The answer set is
every item of metadata and reviews that the user has not had. Candidate stages return 100 items, and
every metric is cut at 100 or below, so an answer that is not among them has no rank (infinity).
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from beauty_rec.artifacts import Vectors
from beauty_rec.evaluation.baselines import item_cf_ranks, item_similarity
from beauty_rec.evaluation.block import Block, beyond_accuracy_block, split_section
from beauty_rec.evaluation.popularity import popularity_scores
from beauty_rec.evaluation.yardsticks import POPULARITIES, AskedEvents, Recencies, popularity_ranks
from beauty_rec.events.places import rows_of
from beauty_rec.search.ranks import Indices, Ranks
from beauty_rec.settings import EvaluationSettings

SIMPLE = [*POPULARITIES, "item_cf"]
VERSUS = {"user_tower": SIMPLE, "reranked": [*SIMPLE, "user_tower"]}
LIST_LENGTH = 10


def baseline_ranks(
    events: pl.DataFrame,
    split_reviews: pl.DataFrame,
    scored_ids: list[str],
    recencies: Recencies = Recencies(),  # noqa: B008  # it is frozen
) -> dict[str, Ranks]:
    """Return the ranks of the simple methods, float64 ``[Q]`` each, in the order of ``events``.

    Args:
        events, split_reviews, scored_ids: as of :meth:`AskedEvents.of`.
        recencies: how long the past counts.
    """
    asked = AskedEvents.of(events, split_reviews, scored_ids)
    return {
        **popularity_ranks(asked, recencies),
        "item_cf": item_cf_ranks(
            item_similarity(asked.train, asked.ids),
            events["history"],
            asked.ids,
            asked.answers,
            popularity=popularity_scores(asked.train, asked.ids, recencies.overall),
            seen=asked.seen,
        ),
    }


def recommendation_section(
    events: pl.DataFrame,
    ranks: Mapping[str, Ranks],
    lists: Mapping[str, pl.Series],
    split_reviews: pl.DataFrame,
    items: Vectors,
    settings: EvaluationSettings,
    *,
    held_out: bool = True,
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
        held_out: the events are none of train, which the simple methods have counted: there nothing
            is tested.
    """
    cold = events["cold"].to_numpy()
    train = split_reviews.filter(split="train")
    in_train = events["parent_asin"].is_in(train["parent_asin"].unique().implode()).to_numpy()
    section = split_section(
        ranks,
        versus=VERSUS if held_out else {},
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
