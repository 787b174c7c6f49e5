"""Fitting the orders: weights of the sources for each kind of ask, and the order that is served.

What asks with an occasion or with nothing is fitted on out-of-fold events of train, and judged on
valid. A text of its own can only be fitted on valid: in train an item's text holds what its buyers
wrote. There an ask is judged by weights that other users' asks chose, see :func:`_cross_fitted`.
Test is never looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from beauty_rec.recommender.fit.champion import champion, unbeaten
from beauty_rec.recommender.fit.weights import Judged, choose_weights
from beauty_rec.recommender.offline.lists import ROWS_AT_ONCE, CandidateLists
from beauty_rec.recommender.orders import DEFAULT, KINDS, ORDERS, Kind, Orders
from beauty_rec.recommender.sources import SOURCES, TEXT_SOURCES

ENOUGH = 100
"""Events with their answer among the candidates that weights may be chosen by."""
LEAST = {"titles": DEFAULT["text"]["titles"]}
"""Of a title's words. Valid asks in the words of reviews, which tell much of a use and seldom name
a product; people type a few words that do, and valid cannot see what a title is worth to them."""
ENOUGH_TO_JUDGE = 500
"""Asks of valid that tell orders apart; a kind with fewer is judged with the other one, and its own
asks may still object."""


@dataclass(frozen=True)
class Labelled:
    """Candidates with what became of them.

    Attributes:
        lists: N candidates of Q asks.
        kinds: of the asks, ``[Q]``.
        users: int64 ``[Q]``, who asked.
        hits: bool ``[N]``, which candidate was the answer.
        learned: probabilities of the learned models, ``[N]`` each.
        baselines: NDCG@10 of each ask by what is not served itself, such as plain popularity,
            ``[Q]`` each; NaN where it does not answer.
    """

    lists: CandidateLists
    kinds: Sequence[Kind]
    users: NDArray[np.int64]
    hits: NDArray[np.bool_]
    learned: Mapping[str, NDArray[np.float32]]
    baselines: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def are(self, kinds: Sequence[Kind]) -> NDArray[np.bool_]:
        """Return which asks are of some kinds, bool ``[Q]``."""
        return np.array([own in kinds for own in self.kinds], dtype=bool)

    def of_kinds(self, kinds: Sequence[Kind], scales: Mapping[str, float]) -> Judged:
        """Return the asks of some kinds, with the sources' and the models' columns.

        Candidates of asks without their answer are not looked at: they decide nothing.
        """
        asks, lists = self.are(kinds), self.lists
        answered = np.zeros(len(lists), bool)
        answered[lists.ask[self.hits]] = True
        kept = np.flatnonzero((asks & answered)[lists.ask])
        width = lists.scores.shape[1]
        values = np.empty((len(kept), width + len(self.learned)), np.float32)
        for start in range(0, len(kept), ROWS_AT_ONCE):
            rows = kept[start : start + ROWS_AT_ONCE]
            values[start : start + len(rows), :width] = lists.part_values(rows)
        for column, (name, p) in enumerate(self.learned.items(), width):
            values[:, column] = p[kept] / scales[name]
        number = np.cumsum(asks) - 1
        return Judged.of(values, number[lists.ask[kept]], self.hits[kept], int(asks.sum()))

    def scales(self) -> dict[str, float]:
        """Return the best probability of an ask, on average, by model."""
        starts = np.flatnonzero(np.diff(self.lists.ask, prepend=-1))
        if not len(starts):
            return dict.fromkeys(self.learned, 1.0)
        return {
            name: max(float(np.maximum.reduceat(p, starts).mean()), 1e-9)
            for name, p in self.learned.items()
        }


def fit_orders(train: Labelled, valid: Labelled) -> Orders:
    """Return the weights of every order and which order is served, by kind of ask."""
    scales = valid.scales()
    names = [*SOURCES, *valid.learned]
    weights: dict[str, dict[Kind, dict[str, float]]] = {
        name: {} for name in ("hybrid", "fused", *valid.learned)
    }
    served: dict[Kind, str] = {}
    reasons: dict[Kind, str] = {}
    measured: dict[Kind, dict[str, float]] = {}
    for kind in KINDS:
        alone = judged = valid.of_kinds([kind], scales)
        alike: list[Kind] = [kind]
        if kind != "text" and alone.asks < ENOUGH_TO_JUDGE:
            alike = [other for other in KINDS if other != "text"]
            judged = valid.of_kinds(alike, scales)
        users = valid.users[valid.are(alike)]
        halves = kind == "text" and _halves_suffice(judged, users)
        if kind == "text":
            own = _text_weights(judged, names, list(valid.learned), searched=halves)
        else:
            own = _weights(kind, train.of_kinds(alike, {}), list(valid.learned))
        for order, chosen in own.items():
            weights[order][kind] = chosen
        found = Orders(weights, scales, {}, {}, {})
        fitted = gains = _gains(judged, found, kind, names)
        if halves:
            gains = _cross_fitted(judged, users, names, list(valid.learned))
        measured[kind] = {order: float(values.mean()) for order, values in gains.items()}
        if gains:
            best, why = champion(gains, users)
            if halves:
                why += "; each half of the users by weights of the other half"
            if judged.asks > alone.asks:
                others = " and ".join(other for other in alike if other != kind)
                why += f"; judged together with {others}"
            if alone.asks:  # by these it is judged when it is to be published
                own_gains = fitted if judged is alone else _gains(alone, found, kind, names)
                if kind == "text":  # an order with more weights is ahead here by their search
                    simpler = ORDERS[: ORDERS.index(best) + 1]
                    own_gains = {name: own_gains[name] for name in simpler if name in own_gains}
                mine = valid.are([kind])
                rivals = {name: values[mine] for name, values in valid.baselines.items()}
                rivals = {n: v for n, v in rivals.items() if not np.isnan(v).any()}
                best, better = unbeaten(best, own_gains, valid.users[mine], rivals)
                why += f"; on its own {alone.asks} asks {better}" if better else ""
            served[kind], reasons[kind] = best, why
        else:
            plain = Orders.plain()
            served[kind], reasons[kind] = plain.served[kind], plain.reasons[kind]
    return Orders(weights, scales, served, reasons, measured)


def _gains(
    judged: Judged, orders: Orders, kind: Kind, names: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Return NDCG@10 of each ask by every order that has weights for the kind."""
    return {
        order: judged.gains(_vector(orders.weights_of(order, kind), names))
        for order in ORDERS
        if orders.weights_of(order, kind) and judged.asks
    }


def _weights(kind: Kind, train: Judged, learned: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the weights for asks with an occasion, or with nothing."""
    free = [name for name in SOURCES if name not in TEXT_SOURCES]
    fused = DEFAULT[kind]
    if _enough(train):
        fused, _ = choose_weights(train, SOURCES, free, fused)
    alone: dict[str, dict[str, float]] = {name: {name: 1.0} for name in learned}
    both = {"hybrid": DEFAULT["text"]} if kind == "occasion" else {}
    return {"fused": fused, **alone, **both}


def _cross_fitted(
    valid: Judged, users: NDArray[np.int64], names: Sequence[str], learned: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Return NDCG@10 of each ask in words of its own by every order, by cross-fitting.

    The users are halved, and the asks of each half are ordered by the weights that those of the
    other half choose: so every ask is in the test, and none is judged by weights that were searched
    on it, which are ahead of others there by the search alone (two-fold cross-fitting: Chernozhukov
    et al., Double/debiased machine learning, 2018). What is served has the weights of all.
    """
    half = _half(users)
    found: dict[str, NDArray[np.float64]] = {}
    for asked in (half, ~half):
        weights = _text_weights(valid.part(~asked), names, learned, searched=True)
        orders = Orders({order: {"text": own} for order, own in weights.items()}, {}, {}, {}, {})
        for order, gains in _gains(valid.part(asked), orders, "text", names).items():
            found.setdefault(order, np.zeros(valid.asks))[asked] = gains
    return found


def _half(users: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which asks are of the one half of the users, bool ``[Q]``."""
    people = np.unique(users)
    drawn = np.random.default_rng(0).permutation(people)[: len(people) // 2]
    return np.isin(users, drawn)


def _halves_suffice(valid: Judged, users: NDArray[np.int64]) -> bool:
    """Whether each half of the users has answers enough to choose weights by."""
    mine = _half(users)[valid.answered]
    return bool(min(mine.sum(), (~mine).sum()) >= ENOUGH)


def _text_weights(
    valid: Judged, names: Sequence[str], learned: Sequence[str], *, searched: bool
) -> dict[str, dict[str, float]]:
    """Return the weights for asks in words of their own; the usual ones unless ``searched``."""
    start = DEFAULT["text"]
    found = {order: dict(start) for order in ("hybrid", "fused", *learned)}
    if not searched:
        return found
    words = ["lexical", "titles"]
    found["hybrid"], _ = choose_weights(valid, names, words, start, alone=False, least=LEAST)
    found["fused"], _ = choose_weights(
        valid, names, SOURCES, found["hybrid"], alone=False, least=LEAST
    )
    for name in learned:
        found[name], _ = choose_weights(valid, names, [name], found["fused"], alone=False)
    return found


def _enough(judged: Judged) -> bool:
    return len(judged.starts) >= ENOUGH


def _vector(weights: Mapping[str, float], names: Sequence[str]) -> NDArray[np.float32]:
    return np.array([weights.get(name, 0.0) for name in names], dtype=np.float32)
