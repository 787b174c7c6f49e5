"""Candidates of many events: what models think of them, every order, and the served list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.ranking.features.build import Candidates, FeatureBuilder, Query
from beauty_rec.ranking.features.skew import feature_skew
from beauty_rec.ranking.ranker import Ranker
from beauty_rec.recommender.learned import retrieval
from beauty_rec.recommender.offline.lists import ROWS_AT_ONCE, CandidateLists, as_lists
from beauty_rec.recommender.offline.split_asks import SplitAsks
from beauty_rec.recommender.orders import KINDS, ORDERS, Kind, Orders
from beauty_rec.recommender.path import kind_of
from beauty_rec.recommender.sources import SOURCES, TEXT_SOURCES
from beauty_rec.search.near_ties import ranked, ranks_in_lists


@dataclass(frozen=True)
class OrderedSplit:
    """A split in order.

    Attributes:
        frame: of :func:`ordered_lists`.
        labels, probabilities: of every candidate, by the DeepFM; of none where there is none.
        shifts: of each feature, in deviations of its train values.
        alone: largest difference of a feature that is built for one request.
    """

    frame: pl.DataFrame
    labels: NDArray[np.bool_]
    probabilities: NDArray[np.float32]
    shifts: dict[str, float]
    alone: float


def order_split(
    asks: SplitAsks,
    models: Mapping[str, Ranker],
    builder: FeatureBuilder,
    orders: Orders,
    reads_texts: bool,
) -> OrderedSplit:
    """Return the asks of a split in every order.

    Args:
        asks: with their candidates.
        models, builder, orders: of the reranker.
        reads_texts: the user tower was trained with free texts.

    Raises:
        RuntimeError: what is served needs a model that cannot be loaded here.
    """
    if fault := orders.fault(models):
        raise RuntimeError(fault)
    queries, hits = asks.queries(), asks.hits()
    learned = probabilities(models, builder, queries, asks.lists)
    kinds = [kind_of(query.context, builder.table, reads_texts) for query in queries]
    some = asks.lists.asked(np.arange(len(asks.lists)) < ASKS_AT_ONCE)
    sample = Candidates(some.ask, some.items, retrieval(some.values))
    shifts, alone = feature_skew(builder, queries[:ASKS_AT_ONCE], sample)
    frame = ordered_lists(asks.lists, kinds, hits, orders, learned, LENGTH, models)
    judged = learned.get("reranked", np.zeros(0, np.float32))
    return OrderedSplit(frame, hits[: len(judged)], judged, shifts, alone)


def ordered_lists(
    lists: CandidateLists,
    kinds: Sequence[Kind],
    hits: NDArray[np.bool_],
    orders: Orders,
    learned: Mapping[str, NDArray[np.float32]],
    k: int,
    models: Mapping[str, Ranker],
) -> pl.DataFrame:
    """Return one row an ask: the served list, and where every order has the answer.

    Args:
        lists: N candidates of Q asks.
        kinds: of the asks.
        hits: bool ``[N]``, which candidate was the answer.
        orders: weights, and what is served.
        learned: probabilities of the learned models, ``[N]`` each.
        k: length of the served list at most.
        models: the learned ones, whose probabilities are calibrated here.

    Returns:
        ``review_id, scenario, kind, order, parent_asin`` (list, best first), ``score`` and
        ``probability`` (lists; of the served order's model, or else the DeepFM's; null without
        one), ``top_<order>`` (of
        :data:`LISTED`: the first ten items), and ``rank_<order>``: float64 from 1, ties in the
        middle, infinite where the order does not have the answer, null where it cannot be asked.
        A source alone has none of which it says nothing; what is served lists these items, too,
        after the others. ``rank_served`` is null where the answer is not in the list.
    """
    values = lists.values
    asked = _asked(lists, kinds, orders, learned)
    scores: dict[str, NDArray[np.float32]] = {}
    ranks: dict[str, NDArray[np.float64]] = {}
    listed: dict[str, NDArray[np.float64]] = {}
    for name in ORDERS:
        own = _scores(name, lists.ask, kinds, values, orders, learned)
        if name in LISTED or name in orders.served.values():
            scores[name] = own
            listed[name] = _ranks(own, lists.ask, hits, len(lists))
        if name in SOURCES:
            own = own.copy()
            own[np.isnan(lists.scores[:, SOURCES.index(name)])] = np.nan
        found = _ranks(own, lists.ask, hits, len(lists))
        ranks[name] = np.where(asked[name], np.where(np.isnan(found), np.inf, found), np.nan)
    starts = np.searchsorted(lists.ask, np.arange(len(lists) + 1))
    served = np.full(len(lists), np.nan)
    best: list[NDArray[np.int64]] = []
    own_scores: list[NDArray[np.float32]] = []
    tops: dict[str, list[NDArray[np.int64]]] = {name: [] for name in LISTED}
    chances: list[NDArray[np.float32]] = []
    for row, kind in enumerate(kinds):
        here = np.arange(starts[row], starts[row + 1])
        own = scores[orders.served[kind]][here]
        order = here[ranked(own, np.arange(len(here)))][:k]
        # As of every order, ties in the middle: what is served must not lose to itself by the luck
        # of its ties.
        rank = listed[orders.served[kind]][row]
        served[row] = rank if rank <= k else np.nan
        best.append(order)
        own_scores.append(scores[orders.served[kind]][order])
        needed = orders.needs(orders.served[kind], kind)
        said = next((name for name in (*needed, "reranked") if name in learned), None)
        if said is not None:
            chances.append(models[said].calibrated(learned[said][order]))
        for name, top in tops.items():
            known = here[~np.isnan(scores[name][here])]
            first = known[ranked(scores[name][known], np.arange(len(known)))][:TOP]
            top.append(first)
    ends = np.cumsum([0, *map(len, best)])
    rows = np.concatenate([np.zeros(0, np.int64), *best])
    flat_scores = pl.Series(np.concatenate([np.zeros(0, np.float32), *own_scores]))
    return pl.DataFrame(
        {
            "review_id": lists.review_ids,
            "scenario": lists.scenarios,
            "kind": list(kinds),
            "order": [orders.served[kind] for kind in kinds],
            "parent_asin": as_lists(lists.items[rows].cast(pl.String), ends),
            "score": as_lists(flat_scores, ends),
            "probability": as_lists(pl.Series(np.concatenate(chances)), ends)
            if chances
            else [None] * len(lists),
            **{
                f"top_{order}": as_lists(
                    lists.items[np.concatenate([np.zeros(0, np.int64), *own])].cast(pl.String),
                    np.cumsum([0, *map(len, own)]),
                )
                for order, own in tops.items()
            },
            **{f"rank_{order}": own for order, own in ranks.items()},
            "rank_served": served,
        },
        schema_overrides={
            "parent_asin": pl.List(pl.String),
            "score": pl.List(pl.Float32),
            "probability": pl.List(pl.Float32),
            **dict.fromkeys((f"top_{order}" for order in tops), pl.List(pl.String)),
        },
    ).with_columns(pl.selectors.starts_with("rank_").fill_nan(None))


def _asked(
    lists: CandidateLists,
    kinds: Sequence[Kind],
    orders: Orders,
    learned: Mapping[str, NDArray[np.float32]],
) -> dict[str, NDArray[np.bool_]]:
    """Return which asks each order could answer, bool ``[Q]``, though it may not have.

    What reads texts is not asked without one, and not at all of train; where it is asked, the
    encoder says something of every candidate.
    """
    columns = [SOURCES.index(name) for name in TEXT_SOURCES]
    texts = not np.isnan(lists.scores[:, columns]).all()
    found: dict[str, NDArray[np.bool_]] = {}
    for order in ORDERS:
        able: list[Kind] = []
        for kind in KINDS:
            reads = set(orders.weights_of(order, kind))
            if not texts or kind == "nothing":
                reads -= set(TEXT_SOURCES)
            if reads and learned.keys() >= set(orders.needs(order, kind)):
                able.append(kind)
        found[order] = np.array([kind in able for kind in kinds], dtype=bool)
    return found


def _scores(
    order: str,
    ask: NDArray[np.int64],
    kinds: Sequence[Kind],
    values: NDArray[np.float32],
    orders: Orders,
    learned: Mapping[str, NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Return an order's scores of all candidates, float32 ``[N]``; NaN where it has no say."""
    out = np.full(len(ask), np.nan, np.float32)
    of_ask = np.array([KINDS.index(kind) for kind in kinds], dtype=np.int64)
    for number, kind in enumerate(KINDS):
        every = np.flatnonzero(of_ask[ask] == number) if len(of_ask) else np.zeros(0, np.int64)
        needed = orders.needs(order, kind)
        if not orders.weights_of(order, kind) or not set(needed) <= learned.keys():
            continue
        for start in range(0, len(every), ROWS_AT_ONCE):
            rows = every[start : start + ROWS_AT_ONCE]
            own: dict[str, NDArray[np.float32]] = {name: learned[name][rows] for name in needed}
            out[rows] = orders.scores(order, kind, values[rows], own)
    return out


def _ranks(
    scores: NDArray[np.float32], ask: NDArray[np.int64], hits: NDArray[np.bool_], asks: int
) -> NDArray[np.float64]:
    """Return the rank of each ask's answer, float64 ``[Q]``; NaN where it is not found."""
    found = np.full(asks, np.nan)
    answered = np.zeros(asks, bool)
    answered[ask[hits]] = True
    kept = answered[ask]
    starts = np.flatnonzero(np.diff(ask[kept], prepend=-1))
    found[answered] = ranks_in_lists(scores[kept], starts, np.flatnonzero(hits[kept]))
    return found


ASKS_AT_ONCE = 512
LENGTH = 100
"""Of the list that is kept of each ask."""
LISTED = ("user_tower", "reranked")
"""Orders whose first items are kept, to be looked at beyond their ranks."""
TOP = 10


def probabilities(
    models: Mapping[str, Ranker],
    builder: FeatureBuilder,
    queries: Sequence[Query],
    lists: CandidateLists,
) -> dict[str, NDArray[np.float32]]:
    """Return what each model thinks of every candidate, float32 ``[N]`` each."""
    found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in models}
    starts = np.searchsorted(lists.ask, np.arange(0, len(lists) + ASKS_AT_ONCE, ASKS_AT_ONCE))
    for number, (start, stop) in enumerate(pairwise(starts.tolist())):
        first = number * ASKS_AT_ONCE
        part = Candidates(
            lists.ask[start:stop] - first,
            lists.items[start:stop].to_list(),
            retrieval(lists.part_values(slice(start, stop))),
        )
        features = builder.build(queries[first : first + ASKS_AT_ONCE], part)
        for name, model in models.items():
            found[name].append(model.probabilities(features))
    return {
        name: np.concatenate([np.zeros(0, np.float32), *parts]) for name, parts in found.items()
    }
