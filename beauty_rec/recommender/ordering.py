"""Candidates of many events, in every order, and the list that is served of each."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.recommender.lists import CandidateLists
from beauty_rec.recommender.orders import KINDS, ORDERS, Kind, Learned, Orders
from beauty_rec.search.near_ties import ranked


def ordered_lists(
    lists: CandidateLists,
    kinds: Sequence[Kind],
    hits: NDArray[np.bool_],
    orders: Orders,
    learned: Mapping[Learned, NDArray[np.float32]],
    k: int,
) -> pl.DataFrame:
    """Return one row an ask: the served list, and where every order has the answer.

    Args:
        lists: N candidates of Q asks.
        kinds: of the asks.
        hits: bool ``[N]``, which candidate was the answer.
        orders: weights, and what is served.
        learned: probabilities of the learned models, ``[N]`` each.
        k: length of the served list at most.

    Returns:
        ``review_id, scenario, kind, order, parent_asin`` (list, best first), ``score`` and
        ``probability`` (lists; null without a learned model), and ``rank_<order>``, also
        ``rank_served``: float64 from 1, ties in the middle, null where the order has no answer.
    """
    values = lists.values
    scores = {
        order: _scores(order, lists.ask, kinds, values, orders, learned) for order in ORDERS
    }
    ranks = {order: _ranks(own, lists.ask, hits, len(lists)) for order, own in scores.items()}
    starts = np.searchsorted(lists.ask, np.arange(len(lists) + 1))
    served = np.full(len(lists), np.nan)
    items, own_scores, chances = [], [], []
    probability = learned.get("reranked")
    for row, kind in enumerate(kinds):
        here = np.arange(starts[row], starts[row + 1])
        own = scores[orders.served[kind]][here]
        order = here[ranked(own, np.arange(len(here)))][:k]
        place = np.flatnonzero(hits[order])
        served[row] = place[0] + 1 if len(place) else np.nan
        items.append(lists.items[order].to_list())
        own_scores.append(scores[orders.served[kind]][order].tolist())
        chances.append(None if probability is None else probability[order].tolist())
    return pl.DataFrame(
        {
            "review_id": lists.review_ids,
            "scenario": lists.scenarios,
            "kind": list(kinds),
            "order": [orders.served[kind] for kind in kinds],
            "parent_asin": items,
            "score": own_scores,
            "probability": chances,
            **{f"rank_{order}": own for order, own in ranks.items()},
            "rank_served": served,
        },
        schema_overrides={
            "parent_asin": pl.List(pl.String),
            "score": pl.List(pl.Float32),
            "probability": pl.List(pl.Float32),
        },
    ).with_columns(pl.selectors.starts_with("rank_").fill_nan(None))


def _scores(
    order: str,
    ask: NDArray[np.int64],
    kinds: Sequence[Kind],
    values: NDArray[np.float32],
    orders: Orders,
    learned: Mapping[Learned, NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Return an order's scores of all candidates, float32 ``[N]``; NaN where it has no say."""
    out = np.full(len(ask), np.nan, np.float32)
    of_ask = np.array([KINDS.index(kind) for kind in kinds], dtype=np.int64)
    for number, kind in enumerate(KINDS):
        rows = np.flatnonzero(of_ask[ask] == number) if len(of_ask) else np.zeros(0, np.int64)
        needed = orders.needs(order, kind)
        if len(rows) and orders.weights_of(order, kind) and set(needed) <= learned.keys():
            own = {name: learned[name][rows] for name in needed}
            out[rows] = orders.scores(order, kind, values[rows], own)
    return out


def _ranks(
    scores: NDArray[np.float32], ask: NDArray[np.int64], hits: NDArray[np.bool_], asks: int
) -> NDArray[np.float64]:
    """Return the rank of each ask's answer, float64 ``[Q]``; NaN where it is not found."""
    answer = np.full(asks, np.nan, np.float32)
    answer[ask[hits]] = scores[hits]
    own = answer[ask]
    better = np.bincount(ask, scores > own + 1e-7, minlength=asks)
    level = np.bincount(ask, np.abs(scores - own) <= 1e-7, minlength=asks)
    return np.where(np.isnan(answer), np.nan, better + (level + 1) / 2)
