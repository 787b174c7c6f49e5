"""The reranker's features: one definition for training, evaluation and a single request.

Sparse fields of an item are its STD ids (one field each) and its RE ids (one field); those of a
query are the STD and RE ids most frequent in its history, its context and its profile's labels.
Dense values are listed in :attr:`beauty_rec.ranking.features.spec.FeatureSpec.raw`; all are
z-scored with statistics of the training candidates, missing ones become 0 and raise a flag.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.events.arrays import DAY_MS
from beauty_rec.events.places import rows_of
from beauty_rec.items.event_evidence import band
from beauty_rec.items.vocabulary import PAD, UNKNOWN, Vocabulary
from beauty_rec.ranking.features.history import HistoryIds, history_ids
from beauty_rec.ranking.features.item_events import NEVER
from beauty_rec.ranking.features.item_table import Described, ItemTable
from beauty_rec.ranking.features.spec import PROFILE, RETRIEVAL, FeatureSpec

QUERIES_AT_ONCE = 512
"""Whose features are built together."""

Columns = dict[str, NDArray[np.float32]]
"""Dense values ``[N]`` by their name in ``FeatureSpec.raw``."""


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

    ``query_row`` int [N]; ``retrieval`` float32 [N, 4], the columns of
    :data:`~beauty_rec.ranking.features.spec.RETRIEVAL`. ``items`` [N] of many queries are better a
    series: a list of strings takes ten times the memory.
    """

    query_row: NDArray[np.int64]
    items: Sequence[str] | pl.Series
    retrieval: NDArray[np.float32]

    def take(self, rows: NDArray[np.int64]) -> "Candidates":
        """Return the candidates ``rows``, ascending, of the same queries."""
        if isinstance(self.items, pl.Series):
            return Candidates(self.query_row[rows], self.items[rows], self.retrieval[rows])
        items = [self.items[row] for row in rows.tolist()]
        return Candidates(self.query_row[rows], items, self.retrieval[rows])


@dataclass(frozen=True)
class Features:
    """Input of the model: the arrays of :class:`beauty_rec.ranking.deepfm.Batch`, ``raw`` dense.

    ``user_ids`` int32 [Q, …], ``item_ids`` int32 [I, …] (the table's, shared), ``user_row``
    and ``item_row`` int64 [N], ``raw`` float32 [N, len(spec.raw)].
    """

    user_ids: NDArray[np.int32]
    item_ids: NDArray[np.int32]
    user_row: NDArray[np.int64]
    item_row: NDArray[np.int64]
    raw: NDArray[np.float32]


def join_features(folds: Sequence[Features]) -> Features:
    """Return the features of several folds as one: queries, items and candidates in order.

    Each fold has its own item table, as it stood before the fold, of which the items that are
    candidates are kept: seven tables of a large shop are larger than what is learned from.

    Raises:
        ValueError: there is no fold.
    """
    if not folds:
        raise ValueError("there is no fold of train to learn from")
    used = [np.unique(fold.item_row, return_inverse=True) for fold in folds]
    queries = np.cumsum([0, *(len(fold.user_ids) for fold in folds)])
    items = np.cumsum([0, *(len(rows) for rows, _ in used)])
    return Features(
        np.concatenate([fold.user_ids for fold in folds]),
        np.concatenate([f.item_ids[rows] for f, (rows, _) in zip(folds, used, strict=True)]),
        np.concatenate([f.user_row + start for f, start in zip(folds, queries, strict=False)]),
        np.concatenate([place + start for (_, place), start in zip(used, items, strict=False)]),
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

    def with_later(self, today: Described) -> "FeatureBuilder":
        """Return the builder that knows the items of today that came since its table was made.

        Args:
            today: in the ids of :attr:`vocabulary`.
        """
        return replace(self, table=self.table.with_later(today))

    def build(self, queries: Sequence[Query], candidates: Candidates) -> Features:
        """Return the features. An item that the table does not know has no ids and no counts.

        Queries are gone through :data:`QUERIES_AT_ONCE` at a time: beside the result that is all
        the memory it takes.
        """
        query_row, item_row = candidates.query_row, self._item_rows(candidates.items)
        raw = np.empty((len(query_row), len(self.spec.raw)), dtype=np.float32)
        user_ids = np.zeros((len(queries), sum(self.spec.user_fields.values())), dtype=np.int32)
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            some = queries[start : start + QUERIES_AT_ONCE]
            first, last = np.searchsorted(query_row, [start, start + len(some)])
            rows = slice(first, last)
            past = history_ids([q.history for q in some], self.table, self.spec.history_length)
            user_ids[start : start + len(some)] = self._user_ids(some, past)
            columns = {
                **dict(zip(RETRIEVAL, candidates.retrieval[rows].T, strict=True)),
                **self._columns(some, past, query_row[rows] - start, item_row[rows]),
            }
            for place, name in enumerate(self.spec.raw):
                raw[rows, place] = columns[name]
        return Features(user_ids, self.table.sparse, query_row, item_row, raw)

    def _item_rows(self, items: Sequence[str] | pl.Series) -> NDArray[np.int64]:
        """Return the row of the table of each item."""
        if isinstance(items, pl.Series):
            rows = rows_of(items, self.table.ids)
            return np.where(rows < 0, len(self.table.ids), rows)
        return self.table.rows(items)

    def _columns(
        self,
        queries: Sequence[Query],
        past: HistoryIds,
        query_row: NDArray[np.int64],
        item_row: NDArray[np.int64],
    ) -> Columns:
        return {
            **self._item(queries, past, query_row, item_row),
            **self._popularity(item_row),
            **self._in_context(queries, query_row, item_row),
            **self._profile(queries, query_row, item_row),
        }

    def _item(
        self,
        queries: Sequence[Query],
        past: HistoryIds,
        query_row: NDArray[np.int64],
        item_row: NDArray[np.int64],
    ) -> Columns:
        """Return what is known of the items, alone and beside the histories."""
        table = self.table
        std, re = past.similarity(table, query_row, item_row)
        return {
            "log_price": table.log_price[item_row],
            "log_count": table.events.log_count[item_row],
            "log_age_days": self._log_age(queries, query_row, item_row),
            "log_history": np.log1p(past.length)[query_row],
            "std_similarity": std,
            "re_similarity": re,
            "history_similarity": table.events.history_similarity(past.rows, query_row, item_row),
        }

    def _popularity(self, item_row: NDArray[np.int64]) -> Columns:
        found = self.table.events.log_popularity[:, item_row]
        return dict(zip(self.spec.popularity, found, strict=True))

    def _in_context(
        self, queries: Sequence[Query], query_row: NDArray[np.int64], item_row: NDArray[np.int64]
    ) -> Columns:
        """Return the items' events within the query's context; NaN where it is not a known one."""
        events = self.table.events
        rows = np.array([self.table.context_row_of.get(_plain(q.context), -1) for q in queries])
        context = rows[query_row].astype(np.int64)
        found = events.in_context.of_pairs(context, item_row)
        return dict(zip(self.spec.in_context, found, strict=True))

    def _profile(
        self, queries: Sequence[Query], query_row: NDArray[np.int64], item_row: NDArray[np.int64]
    ) -> Columns:
        """Return the profile's numbers, and how they fit the items' buyers."""
        columns: Columns = {}
        for place, name in enumerate(self.spec.numbers):
            values = np.array([_number(q.profile.get(name)) for q in queries], dtype=np.float32)
            scaled = self.spec.scaled_number(place, values)
            columns[PROFILE + name] = values[query_row]
            columns[f"fit_{name}"] = self.table.events.profile_fit(
                place, scaled, query_row, item_row
            )
        return columns

    def _log_age(
        self, queries: Sequence[Query], query_row: NDArray[np.int64], item_row: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        time = np.array([q.time_ms for q in queries], dtype=np.int64)[query_row]
        first = self.table.events.first_ms[item_row]
        age = np.where(first == NEVER, -1, time - np.minimum(first, time + 1)) / DAY_MS
        return np.where(age >= 0, np.log1p(np.maximum(age, 0)), np.nan).astype(np.float32)

    def _user_ids(self, queries: Sequence[Query], past: HistoryIds) -> NDArray[np.int32]:
        spec = self.spec
        own = [
            [self.vocabulary.id_of(field, value) for field, value in named_values(q, spec).items()]
            for q in queries
        ]
        std = past.top(past.std, spec.user_fields["history_std"])
        re = past.top(past.re, spec.user_fields["history_re"])
        named = np.array(own, dtype=np.int32).reshape(len(queries), 1 + len(spec.labels))
        # These are RE fields: a value without an id is left out, as an item has it. An unknown one
        # would be an input that training knows from few events or none, and every free text is one.
        named[named == UNKNOWN] = PAD
        return np.concatenate([std, re, named], axis=1)


def named_values(query: Query, spec: FeatureSpec) -> dict[str, str | None]:
    """Return the values of a query that the vocabulary may know, by its field; None for no value.

    The context, and of the profile the columns that have ids: strings, and numbers as bands.
    """
    return {
        "context": _plain(query.context) or None,
        **{
            f"buyer_{name}": profile_label(query.profile.get(name), spec.steps.get(name))
            for name in spec.labels
        },
    }


def profile_label(value: float | str | None, step: float | None) -> str | None:
    """Return the value that a profile's column has in the vocabulary; None for none.

    Args:
        value: a string, or a number, which becomes a band.
        step: width of a band; None: the column has none.
    """
    if isinstance(value, str):
        return _plain(value) or None
    if value is None or step is None or value != value:
        return None
    return band(value, step)


def _plain(text: str | None) -> str:
    return (text or "").strip().lower()


def _number(value: float | str | None) -> float:
    return float("nan") if value is None or isinstance(value, str) else float(value)
