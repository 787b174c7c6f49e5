"""What people see of the items, and which of them may be answered: cards, filters, replacements."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.recommender.online.stock.cards import CARD_SCHEMA
from beauty_rec.recommender.online.stock.columns import CARD_LABELS, Columns
from beauty_rec.recommender.online.stock.filters import ANYTHING, Filter
from beauty_rec.recommender.online.stock.states import ItemState

SPARE_ROWS = 1_024
KEPT_CARDS = 4_096
"""Cards of items that are kept as plain values, the latest used: some 10 MB."""
KEPT_FILTERS = 64
"""Filters whose rows are kept, the latest used."""
KEPT_FACETS = 64
"""Fields whose values are kept counted, the latest asked for."""
KEPT_VALUES = 1_000
"""Values of each that are kept, the commonest."""


@dataclass(frozen=True)
class Catalogue:
    """A snapshot; rows are those of the item space, and a replaced item's old row is not alive.

    Attributes:
        rows: how many there are.
        cards: of the first rows; ``added`` has those of the rest, by row.
        alive: bool ``[capacity]``; so have the other arrays spare rows.
        hidden: never shown; ``listed`` are those that the set itself names so.
        in_stock: false where an item is known to be out of stock.
        columns: what filters read.
        states: what the shop said since, by row.
        contents: of what each item of the set was made; None: an older set does not tell.
    """

    rows: int
    cards: pl.DataFrame
    added: Mapping[int, Mapping[str, Any]]
    alive: NDArray[np.bool_]
    price: NDArray[np.float32]
    hidden: NDArray[np.bool_]
    in_stock: NDArray[np.bool_]
    listed: NDArray[np.int64]
    columns: Columns
    states: Mapping[int, ItemState] = field(default_factory=dict)
    contents: pl.Series | None = None

    @classmethod
    def of(
        cls,
        cards: pl.DataFrame,
        sparse: NDArray[np.int32] | None = None,
        vocabulary: Vocabulary | None = None,
    ) -> "Catalogue":
        """Return the catalogue of a set, whose cards are in the order of the item space.

        Args:
            cards: one for each item.
            sparse: int32 ``[N, S + R]``, ids of the attributes of each.
            vocabulary: of the ids.
        """
        prices = cards["price"].fill_null(np.nan).to_numpy()
        named = "hidden" in cards.columns
        listed = np.flatnonzero(cards["hidden"].fill_null(False) if named else np.zeros(0, bool))
        hidden = np.zeros(cards.height + SPARE_ROWS, bool)
        hidden[listed] = True
        return cls(
            cards.height,
            cards.drop("hidden", "content", strict=False),
            {},
            np.arange(cards.height + SPARE_ROWS) < cards.height,
            np.concatenate([prices, np.full(SPARE_ROWS, np.nan)]).astype(np.float32),
            hidden,
            np.ones(cards.height + SPARE_ROWS, bool),
            listed,
            Columns.of(cards, sparse, vocabulary),
            contents=cards["content"] if "content" in cards.columns else None,
        )

    def __len__(self) -> int:
        return int(self.alive.sum())

    def card(self, row: int) -> dict[str, Any]:
        """Return the card of a row; see :mod:`~beauty_rec.recommender.online.stock.cards`."""
        state = self.states.get(row)
        said: dict[str, Any] = {"in_stock": bool(self.in_stock[row])}
        if state is not None and state.price is not None:
            said["price"] = state.price
        return {**self._card(row), **said}

    def content(self, row: int) -> str | None:
        """Return what stands for all that a row of the set was made of; None where that is lost."""
        return None if self.contents is None else self.contents[row]

    def _card(self, row: int) -> Mapping[str, Any]:
        return self.added[row] if row in self.added else self._listed_card(row)

    @cached_property
    def _listed_card(self) -> Callable[[int], Mapping[str, Any]]:
        """Returns the card of a row of the set; those that are often asked for are kept."""
        cards = self.cards
        return lru_cache(KEPT_CARDS)(lambda row: cards.row(row, named=True))

    def passing(self, filters: Filter) -> NDArray[np.bool_] | None:
        """Return which rows pass, bool ``[rows]``, not to be written to; None when all do.

        Raises:
            UnknownFilter: a field or a value that no item has is named.
        """
        return None if filters == ANYTHING else self._passing(filters)

    @cached_property
    def _passing(self) -> Callable[[Filter], NDArray[np.bool_]]:
        @lru_cache(KEPT_FILTERS)
        def passing(filters: Filter) -> NDArray[np.bool_]:
            prices, stock = self.price[: self.rows], self.in_stock[: self.rows]
            mask = self.columns.passing(filters, self.rows, prices, stock)
            mask.flags.writeable = False
            return mask

        return passing

    def label(self, row: int, field: str) -> str | None:
        """Return the category, brand or store of a row in lower case; None where there is none."""
        assert field in CARD_LABELS
        value = self.added[row][field] if row in self.added else self.cards[field][row]
        return str(value).strip().lower() if value else None

    def facets(self, fields: Sequence[str], most: int) -> dict[str, list[tuple[str, int]]]:
        """Return for each field the values that the most items have, and how many; see filters.

        Raises:
            UnknownFilter: no item has such a field.
        """
        return {field: self._facet(field, max(most, KEPT_VALUES))[:most] for field in fields}

    @cached_property
    def _facet(self) -> Callable[[str, int], list[tuple[str, int]]]:
        @lru_cache(KEPT_FACETS)
        def facet(field: str, most: int) -> list[tuple[str, int]]:
            shown = self.alive[: self.rows] & ~self.hidden[: self.rows]
            return self.columns.counts(field, shown, most)

        return facet

    @property
    def gone(self) -> NDArray[np.int64]:
        """Rows that are never shown: hidden ones, and those replaced by a later row."""
        return self.kept_back(out_of_stock=False)

    def kept_back(self, *, out_of_stock: bool) -> NDArray[np.int64]:
        """Return the rows that are :attr:`gone`, and those out of stock as well, if wanted."""
        away = ~self.alive[: self.rows] | self.hidden[: self.rows]
        if out_of_stock:
            away |= ~self.in_stock[: self.rows]
        return np.flatnonzero(away)

    def with_states(self, states: Mapping[int, ItemState]) -> "Catalogue":
        """Return a snapshot whose rows are as ``states`` says, and as the set has them."""
        hidden, in_stock = np.zeros_like(self.hidden), np.ones_like(self.in_stock)
        hidden[self.listed] = True
        price = self.price.copy() if states or self.states else self.price
        for row in self.states:
            own = self._card(row)["price"]
            price[row] = np.nan if own is None else own
        for row, state in states.items():
            hidden[row] = hidden[row] if state.hidden is None else state.hidden
            in_stock[row] = state.in_stock is not False
            if state.price is not None:
                price[row] = state.price
        return replace(self, hidden=hidden, in_stock=in_stock, price=price, states=dict(states))

    def with_items(
        self,
        cards: Sequence[Mapping[str, Any]],
        replaced: Sequence[int],
        sparse: NDArray[np.int32] | None = None,
    ) -> "Catalogue":
        """Return a snapshot with further rows; the ``replaced`` rows are alive no more."""
        start, stop = self.rows, self.rows + len(cards)
        grown = self if stop <= len(self.alive) else self._with_room(stop)
        price, alive = grown.price.copy(), grown.alive.copy()
        price[start:stop] = [np.nan if card["price"] is None else card["price"] for card in cards]
        alive[list(replaced)] = False
        alive[start:stop] = True
        new = {row: dict(card) for row, card in zip(range(start, stop), cards, strict=True)}
        columns = self.columns.with_items(start, cards, sparse)
        withheld = set(self.listed.tolist()) & set(replaced)
        names = {self._card(row)["parent_asin"] for row in withheld}
        again = [row for row, card in new.items() if card["parent_asin"] in names]
        hidden = grown.hidden
        if again:  # the set names the item, whichever row it is in
            hidden = hidden.copy()
            hidden[again] = True
        return replace(
            grown,
            rows=stop,
            added={**self.added, **new},
            alive=alive,
            price=price,
            hidden=hidden,
            listed=np.concatenate([self.listed, np.array(again, np.int64)]),
            columns=columns,
        )

    def _with_room(self, rows: int) -> "Catalogue":
        more = rows - len(self.alive) + SPARE_ROWS
        return replace(
            self,
            alive=np.concatenate([self.alive, np.zeros(more, bool)]),
            price=np.concatenate([self.price, np.full(more, np.nan, np.float32)]),
            hidden=np.concatenate([self.hidden, np.zeros(more, bool)]),
            in_stock=np.concatenate([self.in_stock, np.ones(more, bool)]),
        )


def new_card(parent_asin: str, **known: Any) -> dict[str, Any]:
    """Return a card with what is known; texts are empty and the rest None otherwise."""
    blank: dict[str, Any] = dict.fromkeys(CARD_SCHEMA)
    texts = dict.fromkeys(("title", "store", "summary"), "")
    lists: dict[str, Any] = {n: [] for n in ("keywords", "keyword_reviews", "categories")}
    return blank | texts | lists | known | {"parent_asin": parent_asin}
