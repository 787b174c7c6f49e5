"""Popularity, the yardstick that is hard to beat: in all, of late, and within an occasion.

How long the past counts decides how good it is, and differs from shop to shop; so it is measured
with several windows and half-lives, and the one that is best on valid stands in the report.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from beauty_rec.events.arrays import DAY_MS
from beauty_rec.events.places import rows_of
from beauty_rec.measures.metrics import ndcg_at
from beauty_rec.search.ranks import (
    Indices,
    Ranks,
    Scores,
    ranks_of_answers,
    ranks_of_static_scores,
)

BACKOFF = 0.01
"""Of an event in any context, beside one in the query's own, where events fade."""


@dataclass(frozen=True)
class Recency:
    """How much a train event counts: all of the last ``share``, or by its age."""

    share: float = 1.0
    half_life_days: float | None = None

    def __str__(self) -> str:
        if self.half_life_days is not None:
            return f"half-life {self.half_life_days:g} days"
        return "all of train" if self.share == 1 else f"last {self.share:.0%} of train"

    def weights(self, timestamps: pl.Series) -> NDArray[np.float64]:
        """Return what each event counts, float64 ``[n]``.

        The last ``share`` holds all events of the instant at its cut.

        Args:
            timestamps: Unix ms.
        """
        times = timestamps.to_numpy()
        if not len(times):
            return np.zeros(0)
        if self.half_life_days is not None:
            age = (times.max() - times) / DAY_MS
            return np.asarray(np.exp2(-age / self.half_life_days), dtype=np.float64)
        keep = max(1, round(len(times) * self.share))
        return np.asarray(times >= np.sort(times)[-keep], dtype=np.float64)


FEW = 16
"""Queries of one context whose answers are looked for one by one: that is less than a sort."""
DEPTH = 100
"""Of the lists that the forms are compared by."""
EVER = Recency()
FORMS = (
    Recency(share=0.1),
    Recency(share=0.25),
    Recency(share=0.5),
    *(Recency(half_life_days=days) for days in (7, 15, 30, 60, 120, 365)),
)
"""What the report chooses from; the first stands where there is nothing to choose by."""


def popularity_scores(train: pl.DataFrame, ids: list[str], recency: Recency = EVER) -> Scores:
    """Return the train events of each item as they count, float32 ``[N]``."""
    rows = rows_of(train["parent_asin"], ids)
    weights = np.ones(len(rows)) if recency == EVER else recency.weights(train["timestamp"])
    known = rows >= 0
    return np.bincount(rows[known], weights[known], len(ids)).astype(np.float32)


def context_popularity_ranks(
    train: pl.DataFrame,
    ids: list[str],
    contexts: pl.Series,
    answers: Indices,
    *,
    recency: Recency = FORMS[0],
    seen: csr_array | None = None,
) -> Ranks:
    """Return ranks by the train events of the query's own context, float64 ``[Q]``.

    Ties, and with them queries without a context or with an unknown one, are broken by recent
    popularity in all contexts, and what is still level by popularity in all of train.

    Args:
        train: train events with ``parent_asin, timestamp, context``.
        ids: the answer set, N items.
        contexts: context of each query, null for none.
        answers: position of each answer in ``ids``.
        recency: what an event counts.
        seen: sparse ``[Q, N]``, items that leave the query's answer set.
    """
    counted = train.with_columns(weight=pl.Series(recency.weights(train["timestamp"])))
    known = counted.drop_nulls("context").filter(pl.col("weight") > 0)
    names = known["context"].unique().sort().to_list()
    items = rows_of(known["parent_asin"], ids)
    inside = items >= 0
    counts = csr_array(
        (
            known["weight"].to_numpy()[inside].astype(np.float32),
            (rows_of(known["context"], names)[inside], items[inside]),
        ),
        shape=(len(names) + 1, len(ids)),  # the last row, empty, is the unknown context
    )
    of_query = rows_of(contexts, names)
    of_query[of_query < 0] = len(names)
    backoff = tie_breaker(popularity_scores(train, ids, recency), popularity_scores(train, ids))
    if recency.half_life_days is not None:
        backoff *= np.float32(BACKOFF)  # faded events are no whole numbers that a tie lies between

    ranks = np.empty(len(answers))
    order = np.argsort(of_query, kind="stable")
    for asked in np.split(order, np.flatnonzero(np.diff(of_query[order])) + 1):
        # What is asked in one context sees the same scores.
        for context in of_query[asked[:1]]:
            scores = counts[[context]].toarray()[0] + backoff
            own, left_out = answers[asked], None if seen is None else seen[asked]
            if len(asked) < FEW:
                same = np.broadcast_to(scores, (len(asked), len(ids)))
                ranks[asked] = ranks_of_answers(same, own, seen=left_out)
            else:
                ranks[asked] = ranks_of_static_scores(scores, own, left_out)
    return ranks


def best_recency(ranks: Callable[[Recency], Ranks]) -> Recency:
    """Return the form of :data:`FORMS` with the best NDCG@100; the first of equals.

    NDCG@10 is noise here: on a shop of occasions it took the last tenth of train on valid, which is
    a fifth worse on test than a half-life that looked alike.

    Args:
        ranks: of the answers of valid, by form.
    """
    found = [float(ndcg_at(ranks(form), DEPTH).sum()) for form in FORMS]
    return FORMS[int(np.argmax(found))]


def tie_breaker(*scores: Scores) -> NDArray[np.float32]:
    """Return values in [0, 1) that order items by the scores, the first deciding first.

    Equal items get equal values; whole-number scores plus these keep their own order.
    """
    order = np.unique(np.column_stack(scores), axis=0, return_inverse=True)[1].ravel()
    found: NDArray[np.float32] = (order / (order.max(initial=0) + 1)).astype(np.float32)
    return found
