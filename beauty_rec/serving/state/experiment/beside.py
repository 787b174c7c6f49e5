"""A published set that is answered from beside the served one, with all that was given, too."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from beauty_rec.corpus.forgotten import Forgotten
from beauty_rec.recommender.online.people import Past
from beauty_rec.recommender.online.requests import NewItem
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.stock.new_items import NewRow, add_rows, is_taken_in
from beauty_rec.recommender.online.stock.states import ItemState
from beauty_rec.serving.state.given import GivenRows


class Given(NamedTuple):
    """All that was given to a shop: each part is replaced when it changes, never written into."""

    items: Mapping[str, NewItem]
    states: Mapping[str, ItemState]
    since: Mapping[str, Sequence[Past]]
    forgotten: Forgotten


class BesideSet:
    """A set that follows what is given to another shop; threads may share it.

    Args:
        base: the set.
    """

    def __init__(self, base: Snapshot) -> None:
        self.base = base
        self._lock = threading.Lock()
        self._taking = threading.Lock()
        self._taken: Mapping[str, NewItem] | None = None
        self._rows: dict[str, tuple[NewItem, NewRow]] = {}
        self._grown = base
        self._made: tuple[Given, Snapshot] | None = None

    def take_known(self, items: Mapping[str, NewItem], rows: GivenRows) -> None:
        """Have the given items whose rows were made before; :meth:`take_in` makes the others."""
        with self._taking:
            wanted = self._wanted(items)
            self._have(wanted, rows.known(self.base, list(wanted.values())))

    def take_in(self, items: Mapping[str, NewItem], rows: GivenRows) -> None:
        """Make the rows of given items that this set does not know yet, and add them as they come.

        Items are replaced when they change, so that the same ones need no second look.
        """
        with self._taking:
            if items is not self._taken:
                self._take_in(items, rows)
                self._taken = items

    def shop(self, given: Given) -> Snapshot:
        """Return what answers come from: the set with all that was given."""
        made = self._made
        if made is not None and all(a is b for a, b in zip(made[0], given, strict=True)):
            return made[1]
        with self._lock:
            made = self._made
            shop = self._grown if made is None else made[1]
            if made is None or made[0].states is not given.states:
                shop = shop.with_states(given.states)
            shop = replace(shop, since=given.since, forgotten=given.forgotten)
            self._made = (given, shop)
            return shop

    def _take_in(self, items: Mapping[str, NewItem], rows: GivenRows) -> None:
        wanted = self._wanted(items)
        new = [item for name, item in wanted.items() if not self._has(name, item)]
        if not new and len(wanted) == len(self._rows):
            return
        known = rows.known(self.base, new)
        self._have(wanted, known)
        for made in rows.make(self.base, [i for i in new if i.parent_asin not in known]):
            self._have(wanted, made)

    def _wanted(self, items: Mapping[str, NewItem]) -> dict[str, NewItem]:
        return {n: item for n, item in items.items() if not is_taken_in(self.base, item)}

    def _have(self, wanted: Mapping[str, NewItem], rows: Mapping[str, NewRow]) -> None:
        """Add rows of ``wanted`` items; where one is replaced, put all into their places anew."""
        with self._lock:
            kept = {n: pair for n, pair in self._rows.items() if n in wanted}
            is_more = len(kept) == len(self._rows) and not kept.keys() & rows.keys()
            self._rows = kept | {name: (wanted[name], row) for name, row in rows.items()}
            self._grown = (
                add_rows(self._grown, list(rows.values()))
                if is_more
                else add_rows(self.base, [row for _, row in self._rows.values()])
            )
            self._made = None

    def _has(self, name: str, item: NewItem) -> bool:
        known = self._rows.get(name)
        return known is not None and (known[0] is item or known[0] == item)
