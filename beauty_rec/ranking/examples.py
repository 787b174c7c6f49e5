"""Training data of the reranker: labelled candidates, cut into batches of whole queries."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from beauty_rec.ranking.deepfm import Batch
from beauty_rec.ranking.feature_spec import FeatureSpec
from beauty_rec.ranking.features import Features


@dataclass(frozen=True)
class Examples:
    """Features with labels float32 [N]; ``dense`` float32 [N, D] is the standardised ``raw``."""

    features: Features
    dense: NDArray[np.float32]
    labels: NDArray[np.float32]

    @classmethod
    def of(cls, features: Features, labels: NDArray[np.float32], spec: FeatureSpec) -> "Examples":
        """Return the examples of ``features`` with the statistics of ``spec``."""
        return cls(features, spec.standardise(features.raw), labels)

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """Return the candidates ``rows``, each of their queries and items once."""
        users, user_row = np.unique(self.features.user_row[rows], return_inverse=True)
        items, item_row = np.unique(self.features.item_row[rows], return_inverse=True)
        return Batch(
            torch.from_numpy(self.features.user_ids[users]),
            torch.from_numpy(self.features.item_ids[items]),
            torch.from_numpy(user_row),
            torch.from_numpy(item_row),
            torch.from_numpy(self.dense[rows]),
        )

    def targets(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Return the labels of ``rows``, float32."""
        return torch.from_numpy(self.labels[rows])


def answered_rows(labels: NDArray[np.float32], query_row: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows, ascending, of the queries whose answer is a candidate."""
    answered = np.zeros(int(query_row.max(initial=-1)) + 1, dtype=bool)
    answered[query_row[labels > 0.5]] = True
    return np.flatnonzero(answered[query_row])


def training_rows(
    labels: NDArray[np.float32],
    query_row: NDArray[np.int64],
    negatives: int | None,
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Return the rows to learn from: queries whose answer is a candidate, with their negatives.

    All candidates of such a query, or its positive and ``negatives`` others drawn without
    replacement. Rows ascend.
    """
    rows = answered_rows(labels, query_row)
    if negatives is None:
        return rows
    # A random order within each query, positives first: keep the first rows of each.
    chance = np.where(labels[rows] > 0.5, -1.0, generator.random(len(rows)))
    order = rows[np.lexsort((chance, query_row[rows]))]
    query = query_row[order]
    place = np.arange(len(order)) - np.searchsorted(query, query)
    return np.sort(order[place <= negatives])


def shuffled_batches(
    rows: NDArray[np.int64],
    query_row: NDArray[np.int64],
    size: int,
    generator: np.random.Generator,
) -> Iterator[NDArray[np.int64]]:
    """Yield ``rows`` in batches of whole queries, in random order: at least ``size`` rows each.

    The last batch takes what is left. Queries stay whole because a batch computes each query once.
    """
    if not len(rows):
        return
    query = query_row[rows]
    starts = np.flatnonzero(np.diff(query, prepend=query[0] - 1))
    ends = np.append(starts[1:], len(rows))
    order = generator.permutation(len(starts))
    total = np.cumsum(ends[order] - starts[order])
    cut = 0
    while cut < len(order):
        done = total[cut - 1] if cut else 0
        last = min(int(np.searchsorted(total, done + size)) + 1, len(order))
        chosen = order[cut:last]
        yield np.concatenate([rows[starts[q] : ends[q]] for q in chosen])
        cut = last
