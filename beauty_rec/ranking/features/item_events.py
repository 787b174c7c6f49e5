"""What train events up to a moment say of each item: popularity, contexts, buyers, company.

The user tower reads much of this too, as columns of an inner product. What it cannot read there,
and the reranker can, crosses item and user freely: how many of an item's buyers have this user's
height (a curve, not a slope), and how many took it together with what this user took.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from beauty_rec.events.arrays import DAY_MS, latest_of_users
from beauty_rec.events.occasions import said_in
from beauty_rec.ranking.features.co_purchase import co_purchase
from beauty_rec.ranking.features.context_events import ContextEvents, only_appends
from beauty_rec.ranking.features.spec import FeatureSpec
from beauty_rec.settings import RankingSettings
from beauty_rec.towers.users.statistics import decay, log_lift, weighted_counts

NEVER = np.iinfo(np.int64).max
"""The first event of an item that has none."""
BINS = 24
"""Of a profile number, over ±3 standard deviations."""
BIN_WIDTH = 6 / BINS
SMOOTHING_BINS = 3.0
"""Standard deviation of the Gaussian that spreads a buyer over neighbouring bins."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ItemEvents:
    """Of I items; one row more stands for any other item.

    Attributes:
        log_count: ``[I + 1]``, log(1 + events).
        log_popularity: ``[H, I + 1]``, log(0.1 + decayed events) for each half-life.
        half_lives_days: ``[H]``; empty in a set of before they were kept.
        in_context: the same of the events in a context, and how much likelier it is than others.
        first_ms: int64 ``[I + 1]``, Unix ms of the first event.
        fit: ``[P, BINS, I + 1]``, log p(bin | item) / p(bin) of a profile number, smoothed, shrunk.
        similar: sparse ``[I + 1, I + 1]``, see :func:`co_purchase`.
        contexts: C contexts, lower case.
    """

    log_count: Floats
    log_popularity: Floats
    half_lives_days: Floats
    in_context: ContextEvents
    first_ms: NDArray[np.int64]
    fit: Floats
    similar: csr_array
    contexts: list[str]

    @classmethod
    def build(
        cls,
        events: pl.DataFrame,
        item: NDArray[np.int64],
        items: int,
        profiles: pl.DataFrame,
        spec: FeatureSpec,
        as_of_ms: int,
        settings: RankingSettings,
    ) -> "ItemEvents":
        """Return what ``events`` say.

        Args:
            events: ``user_id, timestamp`` and perhaps ``context``: train events before the moment.
            item: int64 ``[n]``, the row of each event's item.
            items: I.
            profiles: ``user_profiles``.
            spec: its contexts and half-lives, and the scale of its profile numbers.
            as_of_ms: the moment, Unix ms, that ages are counted from.
            settings: ``prior_events``, ``neighbours``, ``max_user_events``.
        """
        size = items + 1
        age = (as_of_ms - events["timestamp"].to_numpy()) / DAY_MS
        contexts, context = _contexts(events, spec)
        prior = settings.prior_events
        popularity = [
            np.log(np.bincount(item, decay(age, days), size) + 0.1) for days in spec.half_lives_days
        ]
        fading = [decay(age, days) for days in spec.context_half_lives_days]
        first = np.full(size, NEVER, dtype=np.int64)
        np.minimum.at(first, item, events["timestamp"].to_numpy())
        user = events["user_id"].rank("dense").to_numpy().astype(np.int64) - 1
        near = latest_of_users(user, events["timestamp"].to_numpy(), settings.max_user_events)
        return cls(
            log_count=np.log1p(np.bincount(item, minlength=size)).astype(np.float32),
            log_popularity=_stack(popularity, (0, size)),
            half_lives_days=np.array(spec.half_lives_days, np.float32),
            in_context=ContextEvents.build(item, size, context, len(contexts), fading, prior),
            first_ms=first,
            fit=_fit(events, item, size, profiles, spec, decay(age, settings.fit_half_life), prior),
            similar=co_purchase(
                user[near], item[near], size, shrinkage=prior, neighbours=settings.neighbours
            ),
            contexts=contexts,
        )

    def popularity(self, half_life_days: float) -> Floats:
        """Return the row of ``log_popularity`` of the nearest half-life, by their ratio.

        Of a set that does not say its half-lives it is the middle one.
        """
        row = len(self.log_popularity) // 2
        if len(self.half_lives_days):
            row = int(np.argmin(np.abs(np.log(self.half_lives_days / half_life_days))))
        return np.asarray(self.log_popularity[row])

    def history_similarity(
        self,
        histories: Sequence[NDArray[np.int64]],
        query_row: NDArray[np.int64],
        item_row: NDArray[np.int64],
    ) -> Floats:
        """Return log(1 + 10 s), s the summed similarity of an item with a history: ``[N]``.

        Args:
            histories: the item rows of each query's history, each once.
            query_row, item_row: the N pairs.
        """
        lengths = [len(rows) for rows in histories]
        past = np.concatenate([*histories, np.zeros(0, dtype=np.int64)])
        ones, starts = np.ones(len(past), dtype=np.float32), np.cumsum([0, *lengths])
        taken = csr_array((ones, past, starts), shape=(len(histories), self.similar.shape[0]))
        sums = (taken @ self.similar).tocsr()
        sums.sort_indices()
        # A sparse matrix answers for N cells by a search among its sorted (row, column) keys.
        width = self.similar.shape[1]
        row = np.repeat(np.arange(len(histories)), np.diff(sums.indptr))
        keys, asked = row * width + sums.indices, query_row * width + item_row
        place = np.minimum(np.searchsorted(keys, asked), max(len(keys) - 1, 0))
        found = keys[place] == asked if len(keys) else np.zeros(len(asked), dtype=bool)
        out = np.zeros(len(asked), dtype=np.float32)
        out[found] = np.log1p(10 * sums.data[place[found]])
        return out

    def profile_fit(
        self, number: int, scaled: Floats, query_row: NDArray[np.int64], item_row: NDArray[np.int64]
    ) -> Floats:
        """Return ``[N]``: how much more often than others an item's buyers are like the user.

        Args:
            number: which profile number.
            scaled: float32 ``[Q]``, its z-score; NaN gives NaN.
            query_row, item_row: the N pairs.
        """
        place = _bins(scaled)[query_row]
        return np.where(place >= 0, self.fit[number, place, item_row], np.float32(np.nan))

    def taken(self, order: NDArray[np.int64]) -> "ItemEvents":
        """Return the same of the item rows ``order``; the last one stands for any other item."""
        by_item = {f.name for f in fields(self)} - {*_OTHER, "half_lives_days"}
        arrays = {name: getattr(self, name)[..., order] for name in by_item}
        return ItemEvents(
            **arrays,
            half_lives_days=self.half_lives_days,
            in_context=self.in_context.taken(order),
            similar=_taken(self.similar, order),
            contexts=self.contexts,
        )

    def save(self, folder: Path) -> None:
        """Write ``events.safetensors`` and ``contexts.parquet``."""
        from safetensors.numpy import save_file

        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _OTHER}
        arrays |= {f"similar_{name}": getattr(self.similar, name) for name in _SPARSE}
        cells = fields(self.in_context)
        arrays |= {f"context_{f.name}": getattr(self.in_context, f.name) for f in cells}
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        save_file(arrays, folder / "events.safetensors")
        frame = pl.DataFrame({"id": self.contexts}, schema={"id": pl.String})
        frame.write_parquet(folder / "contexts.parquet")

    @classmethod
    def load(cls, folder: Path) -> "ItemEvents":
        """Read what :meth:`save` wrote."""
        from safetensors.numpy import load_file

        arrays = load_file(folder / "events.safetensors")
        size = len(arrays["log_count"])
        arrays.setdefault("half_lives_days", np.zeros(0, np.float32))
        similar = csr_array(
            tuple(arrays.pop(f"similar_{name}") for name in _SPARSE), shape=(size, size)
        )
        contexts = pl.read_parquet(folder / "contexts.parquet", glob=False)["id"].to_list()
        if "log_context" in arrays:  # a set that was published before the cells were
            tables = arrays.pop("log_context"), arrays.pop("context_lift")
            in_context = ContextEvents.of_tables(*tables)
        else:
            cells = [f.name for f in fields(ContextEvents)]
            in_context = ContextEvents(**{name: arrays.pop(f"context_{name}") for name in cells})
        return cls(**arrays, in_context=in_context, similar=similar, contexts=contexts)


def _taken(similar: csr_array, order: NDArray[np.int64]) -> csr_array:
    """Return the rows and columns ``order``; of new items alone, around the same numbers."""
    rows = similar.shape[0]
    if not only_appends(order, rows):
        return similar[order][:, order]
    ends = np.full(len(order) - rows, similar.indptr[-1], similar.indptr.dtype)
    parts = similar.data, similar.indices, np.concatenate([similar.indptr, ends])
    return csr_array(parts, shape=(len(order), len(order)))


_OTHER = ("in_context", "similar", "contexts")
_SPARSE = ("data", "indices", "indptr")


def _stack(parts: list[NDArray[np.float64]], empty: tuple[int, ...]) -> Floats:
    return np.stack(parts).astype(np.float32) if parts else np.zeros(empty, dtype=np.float32)


def _bins(scaled: Floats) -> NDArray[np.int64]:
    """Return the bin of each z-score; -1 for NaN."""
    place = np.floor((np.nan_to_num(scaled) + 3) / BIN_WIDTH).astype(np.int64)
    return np.where(np.isnan(scaled), -1, np.clip(place, 0, BINS - 1))


def _fit(
    events: pl.DataFrame,
    item: NDArray[np.int64],
    size: int,
    profiles: pl.DataFrame,
    spec: FeatureSpec,
    weight: NDArray[np.float64],
    prior: float,
) -> Floats:
    if not spec.numbers:
        return np.zeros((0, BINS, size), dtype=np.float32)
    step = np.arange(BINS)
    kernel = np.exp(-0.5 * ((step[:, None] - step[None]) / SMOOTHING_BINS) ** 2)
    kernel /= kernel.sum(axis=1, keepdims=True)
    buyers = events.select("user_id").join(
        profiles[["user_id", *spec.numbers]],
        on="user_id",
        how="left",
        maintain_order="left",
    )
    curves = []
    for place, name in enumerate(spec.numbers):
        values = buyers[name].alias("value").cast(pl.Float32)  # whatever the column is named
        scaled = spec.scaled_number(place, values.fill_null(np.nan).to_numpy())
        counts = weighted_counts(item, size, _bins(scaled), BINS, weight)
        curves.append(log_lift(counts @ kernel, prior).T)
    return _stack(curves, (0, BINS, size))


def _contexts(events: pl.DataFrame, spec: FeatureSpec) -> tuple[list[str], NDArray[np.int64]]:
    """Return the contexts of the spec that events have had, and each event's (-1: none)."""
    said = said_in(events)
    names = sorted(set(said.drop_nulls().unique()) & set(spec.contexts))
    place = {name: i for i, name in enumerate(names)}
    return names, np.array([place.get(value, -1) for value in said], dtype=np.int64)
