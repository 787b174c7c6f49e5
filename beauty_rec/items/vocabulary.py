"""One id space for STD and RE values: readable on disk, growing from run to run, never moving.

Ids 0, 1 and 2 are padding, unknown and mask. STD and RE values share the space (and the embedding
table of what reads it). A later run appends what is new, so a model trained before keeps its
rows.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.settings import VocabularySettings

PAD, UNKNOWN, MASK = 0, 1, 2
SPECIAL = ("pad", "unknown", "mask")
FORMAT = 1
_BATCH_ITEMS = 4_096
_NO_FIELDS = frozenset({"parent_asin", "summary", "source"})


class Entry(NamedTuple):
    """A value with an id; ``items`` of the last run have it."""

    kind: Literal["std", "re"]
    field: str
    value: str
    items: int


@dataclass(frozen=True)
class Encoded:
    """Ids of N items: ``std`` int64 [N, S], ``re`` int64 [N, R], ``re_mask`` bool [N, R].

    A STD field without a value is 0 (padding), one whose value has no id is 1 (unknown). RE ids
    stand at the front, the most telling first; values without an id are left out; R is
    ``max_re``. ``re_mask`` is true where there is an id.
    """

    std: NDArray[np.int64]
    re: NDArray[np.int64]

    @property
    def re_mask(self) -> NDArray[np.bool_]:
        """Where ``re`` holds an id."""
        found: NDArray[np.bool_] = self.re != PAD
        return found


@dataclass(frozen=True)
class Vocabulary:
    """``entries[i]`` has id ``i + 3``; ``std_fields`` is the order of the columns of ``std``."""

    std_fields: tuple[str, ...]
    re_fields: tuple[str, ...]
    entries: tuple[Entry, ...]
    max_re: int

    @classmethod
    def build(
        cls, frame: pl.DataFrame, previous: "Vocabulary | None", settings: VocabularySettings
    ) -> "Vocabulary":
        """Return the vocabulary of an attributes frame, grown from ``previous`` where given.

        ``String`` columns are STD, ``List(String)`` columns RE. A new value needs
        ``settings.min_count`` items; one with an id keeps it. New ids go by kind, field, falling
        count and value, so equal input gives equal ids. Fields of before stay, in their order.

        Raises:
            ValueError: a field was STD before and is RE now, or the other way: an id has one kind.
        """
        fields = {name: dtype for name, dtype in frame.schema.items() if name not in _NO_FIELDS}
        std = [name for name, dtype in fields.items() if dtype == pl.String]
        re = [name for name, dtype in fields.items() if dtype == pl.List(pl.String)]
        old = previous.entries if previous else ()
        if previous:
            _refuse_moved(previous.std_fields, "STD (one value)", re, "RE (a list of values)")
            _refuse_moved(previous.re_fields, "RE (a list of values)", std, "STD (one value)")
            std = list(dict.fromkeys([*previous.std_fields, *std]))
            re = list(dict.fromkeys([*previous.re_fields, *re]))
        counts = Counter({(f, v): n for f in (*std, *re) for v, n in _counts(frame, f).items()})
        kept = [e._replace(items=counts[e.field, e.value]) for e in old]
        known = {(e.field, e.value) for e in old}
        new = [
            Entry("std" if field in std else "re", field, value, count)
            for (field, value), count in counts.items()
            if count >= settings.min_count and (field, value) not in known
        ]
        place = {field: i for i, field in enumerate((*std, *re))}
        new.sort(key=lambda e: (place[e.field], -e.items, e.value))
        return cls(tuple(std), tuple(re), (*kept, *new), settings.max_re)

    def __len__(self) -> int:
        """Rows that an embedding table of this vocabulary needs."""
        return len(SPECIAL) + len(self.entries)

    @cached_property
    def _ids(self) -> dict[tuple[str, str], int]:
        return {(e.field, e.value): i for i, e in enumerate(self.entries, len(SPECIAL))}

    @cached_property
    def version(self) -> str:
        """16 hex digits of a hash of the fields and ids; counts do not enter it."""
        given = [self.std_fields, self.re_fields, self.max_re, [e[:3] for e in self.entries]]
        return hashlib.sha256(json.dumps(given).encode()).hexdigest()[:16]

    def id_of(self, field: str, value: str | None) -> int:
        """Return the id of a value: 0 for null, 1 where it has none."""
        return PAD if value is None else self._ids.get((field, value), UNKNOWN)

    def carried_on(self, later: "Vocabulary") -> "Vocabulary":
        """Return ``later`` where each of these ids means the same there, else this vocabulary.

        So what was trained with these ids can be asked with the ids of today.
        """
        same = (self.std_fields, self.max_re) == (later.std_fields, later.max_re)
        pairs = zip(self.entries, later.entries, strict=False)
        kept = len(later) >= len(self) and all(old[:3] == new[:3] for old, new in pairs)
        return later if same and kept else self

    def stand_ins(self, rows: int) -> NDArray[np.int64]:
        """Return which of the first ``rows`` ids stood for each later one before it was given.

        A STD value was unknown, a RE value left out: 1 and 0, int64 ``[len(self) - rows]``.
        """
        later = self.entries[rows - len(SPECIAL) :]
        return np.array([UNKNOWN if e.kind == "std" else PAD for e in later], dtype=np.int64)

    def encode(self, frame: pl.DataFrame) -> Encoded:
        """Return the ids of an attributes frame's items, row for row; see :class:`Encoded`.

        Columns that the frame lacks count as empty.
        """
        n = len(frame)
        std = np.zeros((n, len(self.std_fields)), dtype=np.int64)
        for column, field in enumerate(self.std_fields):
            if field in frame.columns:
                std[:, column] = [self.id_of(field, value) for value in frame[field]]
        re = np.zeros((n, self.max_re), dtype=np.int64)
        fields = [field for field in self.re_fields if field in frame.columns]
        row = 0
        for part in frame[fields].iter_slices(_BATCH_ITEMS):  # by name: "*" is one, too
            for values in part.iter_rows():
                ids = self.re_ids(fields, [given or [] for given in values])
                re[row, : len(ids)] = ids
                row += 1
        return Encoded(std, re)

    def re_ids(self, fields: Sequence[str], values: Sequence[Sequence[str]]) -> list[int]:
        """Return the RE ids of one item: each field's first value, then each one's second, …

        Values are the most telling first, so ``max_re`` cuts the least telling of every field.
        """
        ranked = [
            (place, order, found)
            for order, (field, given) in enumerate(zip(fields, values, strict=True))
            for place, value in enumerate(given)
            if (found := self._ids.get((field, value))) is not None
        ]
        return list(dict.fromkeys(found for *_, found in sorted(ranked)))[: self.max_re]

    def save(self, path: Path) -> None:
        """Write one JSON file, one line per id, atomically."""
        header = {
            "format": FORMAT,
            "version": self.version,
            "std_fields": self.std_fields,
            "re_fields": self.re_fields,
            "max_re": self.max_re,
            "special": SPECIAL,
        }
        lines = [json.dumps([i, *e]) for i, e in enumerate(self.entries, len(SPECIAL))]
        body = ",\n".join(lines)
        text = json.dumps(header, indent=1)[:-2] + ',\n "entries": [\n' + body + "\n]}\n"
        write_text_atomic(path, text)

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read what :meth:`save` wrote.

        Raises:
            ValueError: the file is of another format, or its ids or version do not fit it.
        """
        given = json.loads(path.read_text(encoding="utf-8"))
        if given.get("format") != FORMAT:
            raise ValueError(f"{path} is not a vocabulary of format {FORMAT}")
        ids = [row[0] for row in given["entries"]]
        if ids != list(range(len(SPECIAL), len(SPECIAL) + len(ids))):
            raise ValueError(f"{path}: ids are not consecutive from {len(SPECIAL)}")
        entries = tuple(Entry(*row[1:]) for row in given["entries"])
        std, re = tuple(given["std_fields"]), tuple(given["re_fields"])
        vocabulary = cls(std, re, entries, given["max_re"])
        if vocabulary.version != given["version"]:
            raise ValueError(f"{path} was changed by hand: its version does not fit its content")
        return vocabulary


def _refuse_moved(before: Sequence[str], kind: str, now: Sequence[str], other: str) -> None:
    """Raise ValueError where a field of one kind has the name of an earlier one of the other."""
    for field in now:
        if field in before:
            raise ValueError(
                f"field {field!r} was {kind} in the vocabulary of before and is {other} now, but "
                "trained models hold its ids: give the field another name"
            )


def _counts(frame: pl.DataFrame, field: str) -> dict[str, int]:
    if field not in frame.columns:
        return {}
    values = frame[field].alias("value")  # a field may be named "count", or as a pattern of names
    if values.dtype != pl.String:
        values = values.list.unique().explode()
    return dict(values.drop_nulls().value_counts(name="items").iter_rows())
