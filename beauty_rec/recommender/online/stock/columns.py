"""What filters read of the items: for each value of a field the rows that have it, and numbers."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.corpus.text import clean_text
from beauty_rec.items.vocabulary import SPECIAL, Vocabulary
from beauty_rec.recommender.online.stock.filters import MAX_NODE, Filter, Range
from beauty_rec.recommender.online.stock.near_names import SortedNames

CARD_LABELS = ("category", "brand", "store")
NUMBERS = ("average_rating", "rating_number")
TREE = "categories"
BELOW = " > "
NEAREST = 5
FEW = 300
"""Names that an unknown one is held against; of more those that begin or end most like it."""
MOST_SHOWN = 100
"""Characters of a name that is worth to be shown as a remedy."""

Spans = tuple[tuple[int, int], ...]
Later = Mapping[str, Mapping[str, tuple[int, ...]]]


class UnknownFilter(ValueError):
    """A filter names a field or a value that no item has; the message lists the nearest ones."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Columns:
    """Columns of a catalogue's rows.

    Attributes:
        spans: field → value in lower case → parts of ``rows``, the first items' rows that have it.
        rows: int32, dictionary-coded: the rows of one value stand together.
        later: the same of items that came since, field → value → rows.
        numbers: float32 of the first rows, NaN where there is none; later items have none.
        vocabulary: of the attributes' ids; None: there are none.
        orders: field → values of ``spans`` for :meth:`near`, made when one is misspelt.
    """

    spans: Mapping[str, Mapping[str, Spans]]
    rows: NDArray[np.int32]
    later: Later
    numbers: Mapping[str, NDArray[np.float32]]
    vocabulary: Vocabulary | None
    orders: dict[str, SortedNames] = dataclasses.field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def of(
        cls,
        cards: pl.DataFrame,
        sparse: NDArray[np.int32] | None = None,
        vocabulary: Vocabulary | None = None,
    ) -> "Columns":
        """Return the columns of a set's items.

        Args:
            cards: of :data:`~beauty_rec.recommender.online.stock.cards.CARD_SCHEMA`; one of an
                older set lacks the tree.
            sparse: int32 ``[N, S + R]``, ids of the vocabulary of each card's item.
            vocabulary: of the ids.
        """
        spans: dict[str, dict[str, Spans]] = {}
        parts: list[NDArray[np.int32]] = [np.zeros(0, np.int32)]
        start = 0
        if sparse is not None and vocabulary is not None:
            row, column = np.nonzero(sparse >= len(SPECIAL))
            ids = sparse[row, column]
            order = np.argsort(ids, kind="stable")
            parts.append(row[order].astype(np.int32))
            known = np.arange(len(SPECIAL), len(vocabulary) + 1)
            edges = np.searchsorted(ids[order], known).tolist()
            for entry, first, last in zip(vocabulary.entries, edges, edges[1:], strict=False):
                if last > first:
                    field = spans.setdefault(entry.field, {})
                    value = entry.value.lower()
                    field[value] = (*field.get(value, ()), (first, last))
            start = len(order)
        for name in (*CARD_LABELS, TREE):
            if name not in cards.columns:
                continue
            values = _nodes(cards[name]) if name == TREE else cards[name]
            frame = pl.DataFrame({"value": values, "row": np.arange(len(values), dtype=np.int32)})
            if name == TREE:
                frame = frame.explode("value")
            frame = frame.with_columns(pl.col("value").str.strip_chars().str.to_lowercase())
            grouped = frame.filter(pl.col("value") != "").group_by("value").agg("row")
            edges = list(accumulate(grouped["row"].list.len().to_list(), initial=start))
            names = grouped["value"].to_list()
            spans[name] = {
                value: ((first, last),)
                for value, first, last in zip(names, edges, edges[1:], strict=False)
            }
            parts.append(grouped["row"].explode().drop_nulls().to_numpy().astype(np.int32))
            start = edges[-1]
        numbers = {
            name: cards[name].cast(pl.Float32).fill_null(np.nan).to_numpy() for name in NUMBERS
        }
        return cls(spans, np.concatenate(parts), {}, numbers, vocabulary)

    def with_items(
        self, start: int, cards: Sequence[Mapping[str, Any]], sparse: NDArray[np.int32] | None
    ) -> "Columns":
        """Return the columns with further items, whose rows begin at ``start``."""
        later = {field: dict(values) for field, values in self.later.items()}
        for number, card in enumerate(cards):
            named = self._attributes([] if sparse is None else sparse[number].tolist())
            own = ((f, v) for f in CARD_LABELS if (v := (card[f] or "").strip().lower()))
            tree = ((TREE, node.lower()) for node in _path(card.get(TREE) or []))
            for field, value in {*named, *own, *tree}:
                rows = later.setdefault(field, {})
                rows[value] = (*rows.get(value, ()), start + number)
        return replace(self, later=later)

    def _attributes(self, ids: Sequence[int]) -> Iterator[tuple[str, str]]:
        if self.vocabulary is not None:
            for i in ids:
                if len(SPECIAL) <= i < len(self.vocabulary):
                    entry = self.vocabulary.entries[i - len(SPECIAL)]
                    if entry.field not in (*CARD_LABELS, TREE):
                        yield entry.field, entry.value.lower()

    @cached_property
    def fields(self) -> set[str]:
        """The names that have values."""
        return {*self.spans, *self.later}

    def counts(self, field: str, shown: NDArray[np.bool_], most: int) -> list[tuple[str, int]]:
        """Return the values of a field that the most shown items have, and how many have each.

        Args:
            field: one of :attr:`fields`.
            shown: bool ``[rows]``.
            most: values at most.

        Raises:
            UnknownFilter: no item has such a field.
        """
        if field not in self.fields:
            raise UnknownFilter(field, f"no attribute {field!r} here{_near(field, self.fields)}")
        first, later = self.spans.get(field, {}), self.later.get(field, {})
        values = list(dict.fromkeys((*first, *later)))
        parts, sizes = [np.zeros(0, np.int32)], []
        for value in values:
            own = [self.rows[start:stop] for start, stop in first.get(value, ())]
            if value in later:
                own.append(np.array(later[value], np.int32))
            parts += own
            sizes.append(sum(map(len, own)))
        rows = np.concatenate(parts)
        codes = np.repeat(np.arange(len(values)), np.array(sizes, np.int64))
        pairs = np.unique(codes * len(shown) + rows)  # an item may have a value twice
        having = pairs // len(shown)
        counts = np.bincount(having[shown[pairs % len(shown)]], minlength=len(values)).tolist()
        found = sorted(
            (-count, value) for count, value in zip(counts, values, strict=True) if count
        )
        return [(value, -count) for count, value in found[:most]]

    def passing(
        self, asked: Filter, rows: int, prices: NDArray[np.float32], stock: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Return which rows pass, bool ``[rows]``.

        Args:
            asked: the filter.
            rows: how many there are.
            prices: float32 ``[rows]``, NaN where there is none.
            stock: bool ``[rows]``, false where an item is known to be out of stock.

        Raises:
            UnknownFilter: a field or a value is not known, whether it would decide or not.
        """
        mask = np.ones(rows, bool)
        for field, values in asked.labels.items():
            mask &= self._having(field, values, rows)
        mask &= _within(prices, asked.min_price, asked.max_price)
        for name, bounds in (("price", asked.price), *((n, getattr(asked, n)) for n in NUMBERS)):
            if isinstance(bounds, Range):
                numbers = prices if name == "price" else self._padded(name, rows)
                mask &= _within(numbers, bounds.min, bounds.max)
        if asked.in_stock is not None:
            mask &= stock == asked.in_stock
        if asked.not_ is not None:
            mask &= ~self.passing(asked.not_, rows, prices, stock)
        for part in asked.all_of or ():
            mask &= self.passing(part, rows, prices, stock)
        if asked.any_of:
            some = np.zeros(rows, bool)  # one for all clauses: there may be hundreds
            for part in asked.any_of:
                some |= self.passing(part, rows, prices, stock)
            mask &= some
        return mask

    def _having(self, field: str, values: Iterable[str], rows: int) -> NDArray[np.bool_]:
        first, later = self.spans.get(field, {}), self.later.get(field, {})
        if not first and not later and field not in (*CARD_LABELS, TREE):
            names = {*self.fields, *Filter.model_fields} - {"not_"}
            raise UnknownFilter(field, f"no attribute {field!r} here{_near(field, names)}")
        mask = np.zeros(rows, bool)
        for value in values:
            asked = value.lower()
            readings = [asked, clean_text(asked)]
            if field == TREE:  # a>b is a > b
                readings.append(BELOW.join(part.strip() for part in asked.split(">")))
            known = [name for name in readings if name in first or name in later]
            if not known:
                near = _near(asked, self.near(field, asked))
                raise UnknownFilter(field, f"no item has {field} {value!r}{near}")
            name = known[0]
            for start, stop in first.get(name, ()):
                mask[self.rows[start:stop]] = True
            mask[list(later.get(name, ()))] = True
        return mask

    def near(self, field: str, name: str) -> list[str]:
        """Return the values of a field that a misspelt one is held against."""
        first, later = self.spans.get(field, {}), self.later.get(field, {})
        if len(first) + len(later) <= FEW:
            return [*first, *later]
        if field not in self.orders:
            self.orders[field] = _in_order(first)
        if field not in self._later_orders:
            self._later_orders[field] = _in_order(later)
        known = self.orders[field], self._later_orders[field]
        return [value for names in known for value in names.around(name)]

    @cached_property
    def _later_orders(self) -> dict[str, SortedNames]:
        return {}

    def _padded(self, name: str, rows: int) -> NDArray[np.float32]:
        numbers = self.numbers[name]
        return np.pad(numbers, (0, rows - len(numbers)), constant_values=np.nan)


def _in_order(values: Iterable[str]) -> SortedNames:
    return SortedNames([value for value in values if len(value) <= MOST_SHOWN])


def _within(
    numbers: NDArray[np.float32], low: float | None, high: float | None
) -> NDArray[np.bool_] | bool:
    found: NDArray[np.bool_] | bool = True
    if low is not None:
        found = numbers >= np.float32(low)
    if high is not None:
        found = (numbers <= np.float32(high)) & found
    return found


def _path(names: Sequence[str | None]) -> list[str]:
    """Return the nodes that an item lies below: each by its name, and by its path.

    What is longer than a filter may be is no node.
    """
    plain = [n.strip() for n in names if n and n.strip()]
    nodes = [*plain, *accumulate(plain, lambda above, name: above + BELOW + name)]
    return [node for node in nodes if len(node) <= MAX_NODE]


def _nodes(categories: pl.Series) -> pl.Series:
    """Return :func:`_path` of each item; few paths differ, so each is made once."""
    codes = categories.fill_null([]).list.join("\0", ignore_nulls=True)
    made = {joined: _path(joined.split("\0")) for joined in codes.unique().to_list()}
    known = pl.DataFrame(
        {"joined": list(made), "nodes": list(made.values())},
        schema={"joined": pl.String, "nodes": pl.List(pl.String)},
    )
    asked = pl.DataFrame({"joined": codes})
    return asked.join(known, on="joined", how="left", maintain_order="left")["nodes"]


def _near(name: str, known: Iterable[str]) -> str:
    """Return the nearest known names as a remedy, or nothing; long ones would fill a page."""
    distinct = list(dict.fromkeys(k for k in known if len(k) <= MOST_SHOWN))
    near = get_close_matches(name, distinct, NEAREST, 0.5)
    near += [k for k in distinct if name and name in k and k not in near][: NEAREST - len(near)]
    near = near or sorted(distinct)[:NEAREST]
    return f"; the nearest known: {', '.join(near)}" if near else ""
