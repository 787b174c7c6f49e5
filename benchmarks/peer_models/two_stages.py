"""Two stages: candidates of popularity, ALS and item-item, put in order by LightGBM.

LambdaRank (Burges, 2010) learns from late parts of train, with models and counts as they stood when
each began: of one part alone it would learn by heart which items sold. On valid and test both are
those of all train. Trees stop where valid is best.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix

from beauty_rec.evaluation.popularity import Recency
from beauty_rec.events.arrays import DAY_MS
from beauty_rec.search.ranks import Scores, chunks
from benchmarks.peer_models import als, item_item
from benchmarks.peer_models.choosing import Form, best_on_valid
from benchmarks.peer_models.command import run_peer
from benchmarks.peer_models.exchange import LATE, Asked, Codes, ScoresOf, Shop

POPULAR, PERSONAL = 200, 50
"""Candidates of popularity within the context; of ALS and of item-item, each."""
SHARE_OF_OTHERS = 0.25
"""Of the candidates that are no answer: those that are learned from."""
HALF_LIVES = (7, 15, 30, 60, 120, 365)
PARAMETERS = {
    "objective": "lambdarank",
    "metric": "ndcg",
    "eval_at": [100],
    "min_data_in_leaf": 300,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "num_threads": 1,
    "verbosity": -1,
}
FORMS = (
    {"learning_rate": 0.08, "num_leaves": 7, "lambdarank_truncation_level": 30},
    {"learning_rate": 0.04, "num_leaves": 7, "lambdarank_truncation_level": 30},
    {"learning_rate": 0.04, "num_leaves": 15, "lambdarank_truncation_level": 100},
)
MOST_TREES, PATIENCE = 250, 30


@dataclass(frozen=True)
class Candidates:
    """C pairs of an event and an item, by event: features ``[C, F]``, and which is the answer."""

    row: Codes
    item: Codes
    features: NDArray[np.float32]
    label: NDArray[np.bool_]

    def found(self) -> "Candidates":
        """Return those of the events whose answer is among them."""
        kept = np.isin(self.row, self.row[self.label])
        return Candidates(self.row[kept], self.item[kept], self.features[kept], self.label[kept])

    def dataset(self, reference: lgb.Dataset | None = None) -> lgb.Dataset:
        """Return them as LightGBM reads them."""
        sizes = np.unique(self.row, return_counts=True)[1]
        return lgb.Dataset(self.features, self.label, group=sizes, reference=reference)


class FirstStage:
    """What is known of items and people at the end of a shop's train events."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self.shop, now = shop, shop.time_ms.max()
        forms = [Recency(half_life_days=days) for days in HALF_LIVES]
        self.counts = [shop.counts(form) for form in (*forms, Recency())]
        self.by_context = [shop.context_counts(form) for form in (*forms, Recency())]
        self.popular = shop.popularity()
        first, last = np.full(shop.items, now), np.zeros(shop.items, np.int64)
        np.minimum.at(first, shop.item, shop.time_ms)
        np.maximum.at(last, shop.item, shop.time_ms)
        self.ages = [(now - first) / DAY_MS, (now - np.where(last > 0, last, first)) / DAY_MS]
        self.als = als.folded_in(als.fitted(shop, seed, 64, regularization=1.0, alpha=10.0), shop)
        self.neighbours = item_item.summed(item_item.fitted(shop, "BM25", 100), shop)
        self.buyers = _means_of_buyers(shop)

    def candidates(self, asked: Asked, found_only: bool = False) -> Candidates:
        """Return the candidates of some events, or only of those whose answer is among them."""
        parts = []
        for rows in chunks(len(asked), self.shop.items * 8):
            part = self._of_rows(asked, rows)
            parts.append(vars(part.found() if found_only else part).values())
        return Candidates(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _of_rows(self, asked: Asked, rows: slice) -> Candidates:
        shop, context, user = self.shop, asked.context[rows], asked.user[rows]
        seen = asked.left_out(shop.items)[rows]
        popular, folded_in, neighbours = (
            source(asked, rows) for source in (self.popular, self.als, self.neighbours)
        )
        left_out = seen.toarray() > 0
        left_out[:, ~shop.sold] = True
        chosen = np.zeros(popular.shape, bool)
        for scores, most in ((popular, POPULAR), (folded_in, PERSONAL), (neighbours, PERSONAL)):
            open_ones = np.where(left_out, 0, scores)
            best = np.argpartition(-open_ones, min(most, shop.items - 1), axis=1)[:, :most]
            picked = np.zeros_like(chosen)
            np.put_along_axis(picked, best, True, axis=1)
            chosen |= picked & (open_ones > 0)
        row, item = np.nonzero(chosen)
        overall = [_share(counts[item], counts.sum()) for counts in self.counts]
        within = [
            _share(_values(counts, context[row], item), counts[context].sum(axis=1)[row])
            for counts in self.by_context
        ]
        lift = [inside / every for inside, every in zip(within, overall, strict=True)]
        z = shop.numbers[user][row] - self.buyers[item]
        columns = [
            *overall,
            *within,
            *lift,
            folded_in[row, item],
            neighbours[row, item],
            (popular / popular.max(axis=1, keepdims=True))[row, item],
            (folded_in / np.maximum(folded_in.max(axis=1, keepdims=True), 1e-9))[row, item],
            *z.T,
            *np.abs(z).T,
            *(age[item] for age in self.ages),
            np.diff(asked.history_start)[rows][row],
            context[row],
        ]
        features = np.column_stack(columns).astype(np.float32)
        return Candidates(row + rows.start, item, features, asked.answer[rows][row] == item)


def fit(shop: Shop, seed: int) -> tuple[ScoresOf, Mapping[str, Any]]:
    """Return the order of the second stage."""
    learned = _learned_from(shop, seed)
    stage = FirstStage(shop, seed)
    valid = stage.candidates(shop.asked["valid"])
    data = learned.dataset()
    held_out = valid.found().dataset(data)

    def forms() -> Iterator[Form]:
        for choice in FORMS:
            booster = lgb.train(
                {**PARAMETERS, **choice, "seed": seed},
                data,
                MOST_TREES,
                valid_sets=[held_out],
                callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
            )
            yield _scores(booster, stage, valid), {**choice, "trees": booster.best_iteration}

    return best_on_valid(shop, forms())


def _scores(booster: lgb.Booster, stage: FirstStage, valid: Candidates) -> ScoresOf:
    scored: dict[int, csr_array] = {}

    def scores(asked: Asked, rows: slice) -> Scores:
        if id(asked) not in scored:
            found = valid if asked is stage.shop.asked["valid"] else stage.candidates(asked)
            values = booster.predict(found.features)
            above = values - values.min() + 1  # 0 is "no candidate"
            scored[id(asked)] = csr_array(
                (above.astype(np.float32), (found.row, found.item)),
                shape=(len(asked), stage.shop.items),
            )
        dense = scored[id(asked)][rows].toarray()
        return np.where(dense > 0, dense, -np.inf).astype(np.float32)

    return scores


def _learned_from(shop: Shop, seed: int) -> Candidates:
    """Return the candidates of late train events, each part by what was known at its start."""
    starts = [*shop.late_starts.tolist(), int(shop.time_ms.max()) + 1]
    draw, parts, before = np.random.default_rng(seed), [], 0
    for start, end in pairwise(starts):
        asked = shop.asked[LATE].between(start, end)
        part = FirstStage(shop.before(start), seed).candidates(asked, found_only=True)
        kept = part.label | (draw.random(len(part.row)) < SHARE_OF_OTHERS)
        columns = (part.row + before, part.item, part.features, part.label)
        parts.append([column[kept] for column in columns])
        before += len(asked)
    return Candidates(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _means_of_buyers(shop: Shop) -> NDArray[np.float32]:
    """Return the mean of each profile number over an item's buyers, ``[items, P]``."""
    means = np.full((shop.items, shop.numbers.shape[1]), np.nan, np.float32)
    for column, numbers in enumerate(shop.numbers.T):
        known = ~np.isnan(numbers[shop.user])
        items, values = shop.item[known], numbers[shop.user][known]
        total, count = (
            np.bincount(items, values, shop.items),
            np.bincount(items, minlength=shop.items),
        )
        prior = values.mean() if len(values) else 0.0
        means[:, column] = (total + 5 * prior) / (count + 5)
    return means


def _share(counts: np.ndarray, total: np.ndarray) -> np.ndarray:
    return (counts + 0.1) / (total + 1)


def _values(matrix: csr_array, rows: Codes, columns: Codes) -> NDArray[np.float32]:
    """Return single values of a sparse matrix."""
    return np.asarray(csr_matrix(matrix)[rows, columns], np.float32).ravel()


if __name__ == "__main__":
    run_peer(fit)
