"""Rules at work: which of them speak of an ask, and what they make of its order.

They are the last word on an answer: items are excluded before candidates are sought; the served
order is boosted and buried, then made diverse; caps and pins come last, and nothing moves after.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from beauty_rec.recommender.online.rules.file import AnyRule, Boost, Bury, Cap, Exclude, Pin
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.stock.catalogue import Catalogue
from beauty_rec.recommender.online.stock.columns import UnknownFilter
from beauty_rec.recommender.orders import Kind


def rows_of(rule: AnyRule, shop: Snapshot) -> NDArray[np.int64]:
    """Return the rows of a rule's items, int64.

    Raises:
        UnknownFilter: it names a field, a value or an item that the shop does not have.
    """
    if rule.items is not None:
        for name in rule.items:
            if name not in shop.space.row_of:
                raise UnknownFilter("items", f"no item {name!r} here; leave it out, or correct it")
        return np.unique(shop.space.rows(rule.items))
    mask = None if rule.filter is None else shop.catalogue.passing(rule.filter)
    return np.zeros(0, np.int64) if mask is None else np.flatnonzero(mask)


@dataclass(frozen=True)
class Ruling:
    """The rules that speak of one ask.

    Attributes:
        excluded: int64, rows that are not answered.
        pins: with the rows that may stand there, int64, and their mask.
        moves: boosts and buries, with a mask of their items, bool ``[N]``.
        caps: in the order of the file.
    """

    excluded: NDArray[np.int64]
    pins: Sequence[tuple[Pin, NDArray[np.int64], NDArray[np.bool_]]]
    moves: Sequence[tuple[Boost | Bury, NDArray[np.bool_]]]
    caps: Sequence[Cap]

    def moved(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], dict[int, list[str]]]:
        """Return the places of candidates, boosted and buried, and the rules of each row.

        A factor divides or multiplies an item's place, so it means the same for scores of any
        scale and sign. Of equal places a boosted item comes first and a buried one last.
        """
        factors, names = np.ones(len(rows)), dict[int, list[str]]()
        for rule, mask in self.moves:
            here = mask[rows]
            factors[here] *= rule.factor if isinstance(rule, Bury) else 1 / rule.factor
            for row in rows[here].tolist():
                names.setdefault(row, []).append(rule.name)
        if not names:
            return np.arange(len(rows)), names
        places = np.arange(1, len(rows) + 1)
        return np.lexsort((places, np.sign(factors - 1), places * factors)), names

    def arranged(
        self, rows: Sequence[int], k: int, catalogue: Catalogue, names: dict[int, list[str]]
    ) -> tuple[list[int], list[str]]:
        """Return ``k`` of ``rows``, best first, with pins and caps kept, and notes.

        Args:
            rows: distinct, best first.
            k: items wanted.
            catalogue: of the rows.
            names: the rules of each row; pins and caps are added to it.
        """
        notes = []
        held: dict[int, int] = {}
        pinned: set[int] = set()
        for pin, _, mask in self.pins:
            best = next((row for row in rows if mask[row] and row not in pinned), None)
            place = next(p for p in range(pin.place, len(held) + pin.place + 1) if p not in held)
            if best is None:
                notes.append(f"rule {pin.name}: no item of it can be answered")
            elif place <= k:
                held[place] = best
                pinned.add(best)
                names.setdefault(best, []).append(pin.name)
        listing = _Listing(self.caps, catalogue, names)
        for place, row in held.items():
            listing.count(row, place)
        waiting = [row for row in rows if row not in pinned]
        found: list[int] = []
        for place in range(1, k + 1):
            if place in held:
                found.append(held[place])
            elif waiting:
                found.append(waiting.pop(listing.next_of(waiting, place)))
                listing.count(found[-1], place)
        if listing.given_way:
            notes.append(f"rules that gave way, as nothing else is left: {listing.said}")
        return found, notes


@dataclass
class _Listing:
    """What caps have counted in the places that are taken."""

    caps: Sequence[Cap]
    catalogue: Catalogue
    names: dict[int, list[str]]
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    given_way: set[str] = field(default_factory=set)
    labels: dict[tuple[int, str], str | None] = field(default_factory=dict)

    @property
    def said(self) -> str:
        return ", ".join(sorted(self.given_way))

    def count(self, row: int, place: int) -> None:
        for cap in self.caps:
            label = self._label(row, cap.by)
            if place <= cap.first and label is not None:
                key = (cap.name, label)
                self.counts[key] = self.counts.get(key, 0) + 1

    def next_of(self, waiting: Sequence[int], place: int) -> int:
        """Return which of ``waiting`` takes a place: the first that no cap is against."""
        for number, row in enumerate(waiting):
            against = self._against(row, place)
            for cap in against:
                own = self.names.setdefault(row, [])
                if cap.name not in own:
                    own.append(cap.name)
            if not against:
                return number
        self.given_way |= {cap.name for cap in self._against(waiting[0], place)}
        return 0

    def _against(self, row: int, place: int) -> list[Cap]:
        return [
            cap
            for cap in self.caps
            if place <= cap.first
            and (label := self._label(row, cap.by)) is not None
            and self.counts.get((cap.name, label), 0) >= cap.most
        ]

    def _label(self, row: int, by: str) -> str | None:
        key = (row, by)
        if key not in self.labels:
            self.labels[key] = self.catalogue.label(row, by)
        return self.labels[key]


@dataclass(frozen=True)
class ShopRules:
    """Rules made ready for the items of a snapshot.

    ``made``: each rule with the rows of its items and their mask.
    """

    made: Sequence[tuple[AnyRule, NDArray[np.int64], NDArray[np.bool_]]]

    @classmethod
    def of(cls, rules: Sequence[AnyRule], shop: Snapshot) -> "ShopRules":
        """Return the rules for a shop; what one names that is not there any more, it is not of."""
        made: list[tuple[AnyRule, NDArray[np.int64], NDArray[np.bool_]]] = []
        for rule in rules:
            try:
                rows = rows_of(rule, shop)
            except UnknownFilter:
                known = [shop.space.row_of.get(name, -1) for name in rule.items or ()]
                rows = np.array([row for row in known if row >= 0], np.int64)
            mask = np.zeros(shop.catalogue.rows, bool)
            mask[rows] = True
            made.append((rule, rows, mask))
        return cls(made)

    def ruling(self, at_ms: int, *, context: bool, user: bool, kind: Kind) -> Ruling | None:
        """Return what speaks of an ask; None when nothing does."""
        on = [
            part
            for part in self.made
            if part[0].is_on(at_ms, context=context, user=user, kind=kind)
        ]
        if not on:
            return None
        excluded = [rows for rule, rows, _ in on if isinstance(rule, Exclude)]
        return Ruling(
            np.concatenate([np.zeros(0, np.int64), *excluded]),
            [(rule, rows, mask) for rule, rows, mask in on if isinstance(rule, Pin)],
            [(rule, mask) for rule, _, mask in on if isinstance(rule, Boost | Bury)],
            [rule for rule, _, _ in on if isinstance(rule, Cap)],
        )
