"""What a peer is given and what it hands back: plain arrays, read by two environments.

Users, items and contexts are codes from 0; -1 is "none". A peer learns from the train events alone,
chooses on valid, and hands back where each answer of valid and test stands, by the same rules as
our own methods: ties share their mean rank, seen items leave the answer set, and items without a
train event stand behind all others.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from beauty_rec.evaluation.popularity import BACKOFF, Recency, tie_breaker
from beauty_rec.search.ranks import Ranks, Scores, ranks_in_chunks, ranks_of_answers

Codes = NDArray[np.int64]
ScoresOf = Callable[["Asked", slice], Scores]
"""Scores ``[rows, N]`` of some of the asked events."""
HELD_OUT = ("valid", "test")
LATE = "train"
"""Events of the late parts of train, asked like those of held-out splits."""


@dataclass(frozen=True)
class Asked:
    """Q events of a split, each with what was known before it.

    Attributes:
        user, context, answer: codes ``[Q]``.
        time_ms: int64 ``[Q]``, Unix milliseconds.
        history: items of the latest earlier events, oldest first; event ``i`` has those from
            ``history_start[i]`` to ``history_start[i + 1]``.
        history_start: int64 ``[Q + 1]``.
        seen, seen_start: in the same way, every earlier item once.
    """

    user: Codes
    context: Codes
    answer: Codes
    time_ms: Codes
    history: Codes
    history_start: Codes
    seen: Codes
    seen_start: Codes

    def __len__(self) -> int:
        return len(self.answer)

    def between(self, start: int, end: int) -> "Asked":
        """Return the events from ``start`` to before ``end``, Unix milliseconds."""
        rows = np.flatnonzero((self.time_ms >= start) & (self.time_ms < end))
        plain = {
            name: getattr(self, name)[rows] for name in ("user", "context", "answer", "time_ms")
        }
        return Asked(
            **plain,
            **_slices("history", self.history, self.history_start, rows),
            **_slices("seen", self.seen, self.seen_start, rows),
        )

    def histories(self, items: int) -> csr_array:
        """Return the histories as ones, float32 ``[Q, items]``."""
        return _ones(self.history, self.history_start, items)

    def left_out(self, items: int) -> csr_array:
        """Return the seen items as ones, float32 ``[Q, items]``."""
        return _ones(self.seen, self.seen_start, items)


@dataclass(frozen=True)
class Shop:
    """The train events, and who is asked what.

    Attributes:
        items, users, contexts: how many there are.
        item, user, context: codes of the n train events.
        time_ms: int64 ``[n]``, Unix milliseconds.
        numbers: float32 ``[users, P]``, numbers of the profiles; NaN: not known.
        groups: codes ``[users, G]``, texts of the profiles.
        recency: how long an event counts in popularity, chosen on valid.
        late_starts: when the late parts of train begin, int64 ``[parts]``, Unix milliseconds.
        asked: events by split: :data:`HELD_OUT` and :data:`LATE`.
    """

    items: int
    users: int
    contexts: int
    item: Codes
    user: Codes
    context: Codes
    time_ms: Codes
    numbers: NDArray[np.float32]
    groups: Codes
    recency: Recency
    late_starts: Codes
    asked: Mapping[str, Asked]

    @property
    def sold(self) -> NDArray[np.bool_]:
        """Bool ``[items]``: which have a train event."""
        return np.bincount(self.item, minlength=self.items) > 0

    def before(self, moment: int) -> "Shop":
        """Return the shop as it stood at a moment, Unix milliseconds."""
        early = self.time_ms < moment
        names = ("item", "user", "context", "time_ms")
        return replace(self, **{name: getattr(self, name)[early] for name in names})

    def purchases(self) -> csr_array:
        """Return the events of each user with each item, float32 ``[users, items]``."""
        ones = np.ones(len(self.item), np.float32)
        return csr_array((ones, (self.user, self.item)), shape=(self.users, self.items))

    def weights(self, recency: Recency) -> NDArray[np.float64]:
        """Return what each train event counts, float64 ``[n]``."""
        return recency.weights(pl.Series(self.time_ms))

    def counts(self, recency: Recency) -> Scores:
        """Return the train events of each item as they count, float32 ``[items]``."""
        return np.bincount(self.item, self.weights(recency), self.items).astype(np.float32)

    def context_counts(self, recency: Recency) -> csr_array:
        """Return the same by context, ``[contexts + 1, items]``; the last row is empty."""
        inside = self.context >= 0
        return csr_array(
            (
                self.weights(recency)[inside].astype(np.float32),
                (self.context[inside], self.item[inside]),
            ),
            shape=(self.contexts + 1, self.items),
        )

    def popularity(self) -> ScoresOf:
        """Return the popularity within the context that is best on valid; the back-off of peers."""
        by_context = self.context_counts(self.recency)
        backoff = tie_breaker(self.counts(self.recency), self.counts(Recency()))
        if self.recency.half_life_days is not None:
            backoff = backoff * np.float32(BACKOFF)

        def of_rows(asked: Asked, rows: slice) -> Scores:
            return np.asarray(by_context[asked.context[rows]].toarray() + backoff, np.float32)

        return of_rows

    def write(self, folder: Path) -> None:
        """Write what :meth:`read` takes back."""
        arrays: dict[str, Any] = {
            name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)
        }
        for split, asked in self.asked.items():
            arrays |= {f"{split}.{name}": value for name, value in vars(asked).items()}
        np.savez(folder / "shop.npz", **arrays)
        counts = ("items", "users", "contexts")
        plain = {name: getattr(self, name) for name in counts} | {"recency": vars(self.recency)}
        (folder / "shop.json").write_text(json.dumps(plain), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Shop":
        """Return the shop of a folder."""
        plain = json.loads((folder / "shop.json").read_text(encoding="utf-8"))
        with np.load(folder / "shop.npz", allow_pickle=False) as kept:
            arrays = dict(kept)
        asked = {
            split: Asked(**{f.name: arrays.pop(f"{split}.{f.name}") for f in fields(Asked)})
            for split in (*HELD_OUT, LATE)
        }
        return cls(**plain | {"recency": Recency(**plain["recency"])}, **arrays, asked=asked)


def ranks_of(shop: Shop, scores: ScoresOf, split: str) -> Ranks:
    """Return the rank of each answer of a split, float64 ``[Q]``."""
    asked, unknown = shop.asked[split], ~shop.sold
    seen = asked.left_out(shop.items)

    def of_rows(rows: slice) -> Ranks:
        found = np.array(scores(asked, rows), dtype=np.float32)
        found[:, unknown] = -np.inf
        return ranks_of_answers(found, asked.answer[rows], seen=seen[rows])

    return ranks_in_chunks(of_rows, len(asked), shop.items)


def write_ranks(path: Path, ranks: Mapping[str, Ranks], choice: Mapping[str, Any]) -> None:
    """Write the ranks of the held-out splits, and what was chosen on valid."""
    held_out: dict[str, Any] = {name: ranks[name] for name in HELD_OUT}
    np.savez(path, choice=np.array(json.dumps(choice)), **held_out)


def read_ranks(path: Path) -> tuple[dict[str, Ranks], dict[str, Any]]:
    """Return what :func:`write_ranks` was given."""
    with np.load(path, allow_pickle=False) as kept:
        return {name: kept[name] for name in HELD_OUT}, json.loads(str(kept["choice"]))


def _slices(name: str, flat: Codes, start: Codes, rows: Codes) -> dict[str, Codes]:
    parts = [flat[start[row] : start[row + 1]] for row in rows]
    lengths = [len(part) for part in parts]
    return {
        name: np.concatenate([flat[:0], *parts]),
        f"{name}_start": np.cumsum([0, *lengths], dtype=np.int64),
    }


def _ones(items: Codes, start: Codes, width: int) -> csr_array:
    ones = np.ones(len(items), np.float32)
    # A copy: adding up sorts the items of a row, and a history has its order.
    found = csr_array((ones, items.copy(), start.copy()), shape=(len(start) - 1, width))
    found.sum_duplicates()
    found.data[:] = 1
    return found
