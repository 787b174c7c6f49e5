"""The reranker's features: one definition for training, evaluation and a single request.

Sparse fields of an item are its STD ids (one field each) and its RE ids (one field); those of a
query are the STD and RE ids most frequent in its history, its context and its profile's labels.
Dense values are listed in :attr:`beauty_rec.ranking.features.spec.FeatureSpec.raw`; all are
z-scored with statistics of the training candidates, missing ones become 0 and raise a flag.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beauty_rec.items.event_evidence import band
from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.ranking.features.history import HistoryIds, history_ids
from beauty_rec.ranking.features.item_events import NEVER
from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.ranking.features.spec import DENSE, FeatureSpec

RETRIEVAL = ("tower_score", "tower_rank", "text_score", "text_rank")
"""Of a candidate: score and rank of the user tower and the text retriever.

Ranks are from 1 and continuous: items that score nearly alike share one in part.
"""
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Query:
    """What is known before the choice: items of the past, oldest first; profile by column."""

    time_ms: int
    history: Sequence[str]
    context: str | None
    profile: Mapping[str, float | str | None]


@dataclass(frozen=True)
class Candidates:
    """N candidates of Q queries, those of one query in consecutive rows.

    ``query_row`` int [N]; ``retrieval`` float32 [N, 4], the columns of :data:`RETRIEVAL`, NaN
    where that retriever did not find the item.
    """

    query_row: NDArray[np.int64]
    items: Sequence[str]
    retrieval: NDArray[np.float32]

    def take(self, rows: NDArray[np.int64]) -> "Candidates":
        """Return the candidates ``rows``, ascending, of the same queries."""
        items = [self.items[row] for row in rows.tolist()]
        return Candidates(self.query_row[rows], items, self.retrieval[rows])


@dataclass(frozen=True)
class Features:
    """Input of the model: the arrays of :class:`beauty_rec.ranking.deepfm.Batch`, ``raw`` dense.

    ``user_ids`` int32 [Q, …], ``item_ids`` int32 [I + 1, …] (the table's, shared), ``user_row``
    and ``item_row`` int64 [N], ``raw`` float32 [N, len(spec.raw)].
    """

    user_ids: NDArray[np.int32]
    item_ids: NDArray[np.int32]
    user_row: NDArray[np.int64]
    item_row: NDArray[np.int64]
    raw: NDArray[np.float32]


def join_features(folds: Sequence[Features]) -> Features:
    """Return the features of several folds as one: queries, items and candidates in order.

    Each fold has its own item table, as it stood before the fold.

    Raises:
        ValueError: there is no fold.
    """
    if not folds:
        raise ValueError("there is no fold of train to learn from")
    queries = np.cumsum([0, *(len(fold.user_ids) for fold in folds)])
    items = np.cumsum([0, *(len(fold.item_ids) for fold in folds)])
    return Features(
        np.concatenate([fold.user_ids for fold in folds]),
        np.concatenate([fold.item_ids for fold in folds]),
        np.concatenate([f.user_row + start for f, start in zip(folds, queries, strict=False)]),
        np.concatenate([f.item_row + start for f, start in zip(folds, items, strict=False)]),
        np.concatenate([fold.raw for fold in folds]),
    )


@dataclass(frozen=True)
class FeatureBuilder:
    """Turns queries and candidates into features, alike for a frame of them and one request.

    Raises:
        ValueError: the vocabulary is not the one of the spec.
    """

    spec: FeatureSpec
    vocabulary: Vocabulary
    table: ItemTable

    def __post_init__(self) -> None:
        if self.vocabulary.version != self.spec.vocabulary_version:
            raise ValueError("the features were laid out with another version of the vocabulary")

    def build(self, queries: Sequence[Query], candidates: Candidates) -> Features:
        """Return the features. An item that the table does not know has no ids and no counts."""
        table = self.table
        other = len(table.ids)
        query_row = candidates.query_row
        item_row = np.fromiter(
            (table.row_of.get(item, other) for item in candidates.items), np.int64, len(query_row)
        )
        past = history_ids([q.history for q in queries], table, self.spec.history_length)
        raw = np.empty((len(query_row), len(self.spec.raw)), dtype=np.float32)
        raw[:, 0:4] = candidates.retrieval
        with np.errstate(invalid="ignore"):
            raw[:, [1, 3]] = np.log(raw[:, [1, 3]])
        raw[:, 4] = table.log_price[item_row]
        raw[:, 5] = table.events.log_count[item_row]
        raw[:, 6] = self._log_age(queries, query_row, item_row)
        raw[:, 7] = np.log1p(past.length)[query_row]
        raw[:, 8], raw[:, 9] = past.similarity(table, query_row, item_row)
        raw[:, 10] = table.events.history_similarity(past.rows, query_row, item_row)
        blocks = [
            table.events.log_popularity[:, item_row].T,
            *self._in_context(queries, query_row, item_row),
            *self._profile(queries, query_row, item_row),
        ]
        raw[:, len(DENSE) :] = np.concatenate(blocks, axis=1)
        return Features(self._user_ids(queries, past), table.sparse, query_row, item_row, raw)

    def _in_context(
        self, queries: Sequence[Query], query_row: NDArray[np.int64], item_row: NDArray[np.int64]
    ) -> Iterator[NDArray[np.float32]]:
        """Yield ``[N, Hc]`` twice; NaN where the context is not a known one."""
        events = self.table.events
        rows = np.array([self.table.context_row_of.get(_plain(q.context), -1) for q in queries])
        context = rows[query_row].astype(np.int64)
        for told in (events.log_context, events.context_lift):
            if not events.contexts:
                yield np.full((len(query_row), len(told)), np.nan, dtype=np.float32)
            else:
                yield np.where(context >= 0, told[:, context, item_row], np.float32(np.nan)).T

    def _profile(
        self, queries: Sequence[Query], query_row: NDArray[np.int64], item_row: NDArray[np.int64]
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the profile's numbers ``[N, P]``, then how they fit the item's buyers."""
        numbers = self._numbers(queries)
        yield numbers[query_row]
        fits = np.empty((len(query_row), numbers.shape[1]), dtype=np.float32)
        for place, column in enumerate(numbers.T):
            scaled = self.spec.scaled_number(place, column)
            fits[:, place] = self.table.events.profile_fit(place, scaled, query_row, item_row)
        yield fits

    def _log_age(
        self, queries: Sequence[Query], query_row: NDArray[np.int64], item_row: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        time = np.array([q.time_ms for q in queries], dtype=np.int64)[query_row]
        first = self.table.events.first_ms[item_row]
        age = np.where(first == NEVER, -1, time - np.minimum(first, time + 1)) / DAY_MS
        return np.where(age >= 0, np.log1p(np.maximum(age, 0)), np.nan).astype(np.float32)

    def _numbers(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        columns = [[_number(q.profile.get(name)) for name in self.spec.numbers] for q in queries]
        shape = (len(queries), len(self.spec.numbers))
        return np.array(columns, dtype=np.float32).reshape(shape)

    def _user_ids(self, queries: Sequence[Query], past: HistoryIds) -> NDArray[np.int32]:
        id_of, spec = self.vocabulary.id_of, self.spec
        own = [
            [
                id_of("context", _plain(q.context) or None),
                *(id_of(f"buyer_{n}", _label(q.profile.get(n), spec.steps.get(n)))
                  for n in spec.labels),
            ]
            for q in queries
        ]  # fmt: skip
        std = past.top(past.std, spec.user_fields["history_std"])
        re = past.top(past.re, spec.user_fields["history_re"])
        named = np.array(own, dtype=np.int32).reshape(len(queries), 1 + len(spec.labels))
        return np.concatenate([std, re, named], axis=1)


def _plain(context: str | None) -> str:
    return (context or "").strip().lower()


def _number(value: float | str | None) -> float:
    return float("nan") if value is None or isinstance(value, str) else float(value)


def _label(value: float | str | None, step: float | None) -> str | None:
    if isinstance(value, str):
        return value.strip().lower() or None
    if value is None or step is None or value != value:
        return None
    return band(value, step)
