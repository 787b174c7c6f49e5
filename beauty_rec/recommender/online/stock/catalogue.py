"""What people see of the items, and which of them may be answered: cards, filters, replacements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.recommender.online.stock.cards import CARD_SCHEMA

SPARE_ROWS = 1_024


@dataclass(frozen=True)
class Filters:
    """What an item has to be; None: anything. Categories and brands ignore case."""

    category: str | None = None
    brand: str | None = None
    min_price: float | None = None
    max_price: float | None = None


@dataclass(frozen=True)
class Catalogue:
    """A snapshot; rows are those of the item space, and a replaced item's old row is not alive.

    Attributes:
        rows: how many there are.
        cards: of the first rows; ``added`` has those of the rest, by row.
        alive: bool ``[capacity]``; so have ``category``, ``brand`` and ``price`` spare rows.
    """

    rows: int
    cards: pl.DataFrame
    added: Mapping[int, Mapping[str, Any]]
    alive: NDArray[np.bool_]
    category: NDArray[np.object_]
    brand: NDArray[np.object_]
    price: NDArray[np.float32]

    @classmethod
    def of(cls, cards: pl.DataFrame) -> "Catalogue":
        """Return the catalogue of a set, whose cards are in the order of the item space."""
        spare = [None] * SPARE_ROWS
        prices = cards["price"].fill_null(np.nan).to_numpy()
        return cls(
            cards.height,
            cards,
            {},
            np.arange(cards.height + SPARE_ROWS) < cards.height,
            np.array([*_lower(cards["category"]), *spare], dtype=object),
            np.array([*_lower(cards["brand"]), *spare], dtype=object),
            np.concatenate([prices, np.full(SPARE_ROWS, np.nan)]).astype(np.float32),
        )

    def __len__(self) -> int:
        return int(self.alive.sum())

    def card(self, row: int) -> dict[str, Any]:
        """Return the card of a row; see :mod:`~beauty_rec.recommender.online.stock.cards`."""
        return dict(self.added[row]) if row in self.added else self.cards.row(row, named=True)

    def passing(self, filters: Filters) -> NDArray[np.bool_] | None:
        """Return which rows pass, bool ``[rows]``; None when all do.

        A bound on the price leaves items without one out.
        """
        if filters == Filters():
            return None
        mask = np.ones(self.rows, bool)
        if filters.category is not None:
            mask &= self.category[: self.rows] == filters.category.strip().lower()
        if filters.brand is not None:
            mask &= self.brand[: self.rows] == filters.brand.strip().lower()
        if filters.min_price is not None:
            mask &= self.price[: self.rows] >= np.float32(filters.min_price)
        if filters.max_price is not None:
            mask &= self.price[: self.rows] <= np.float32(filters.max_price)
        return mask

    @property
    def gone(self) -> NDArray[np.int64]:
        """Rows whose item was replaced by a later row."""
        return np.flatnonzero(~self.alive[: self.rows])

    def with_items(
        self, cards: Sequence[Mapping[str, Any]], replaced: Sequence[int]
    ) -> "Catalogue":
        """Return a snapshot with further rows; the ``replaced`` rows are alive no more."""
        start, stop = self.rows, self.rows + len(cards)
        grown = self if stop <= len(self.alive) else self._with_room(stop)
        # Snapshots before this one do not look beyond their own rows: no copy is needed.
        grown.category[start:stop] = [(card["category"] or "").lower() or None for card in cards]
        grown.brand[start:stop] = [(card["brand"] or "").lower() or None for card in cards]
        grown.price[start:stop] = [
            np.nan if card["price"] is None else card["price"] for card in cards
        ]
        alive = grown.alive.copy()
        alive[list(replaced)] = False
        alive[start:stop] = True
        new = {row: dict(card) for row, card in zip(range(start, stop), cards, strict=True)}
        return replace(grown, rows=stop, added={**self.added, **new}, alive=alive)

    def _with_room(self, rows: int) -> "Catalogue":
        more = rows - len(self.alive) + SPARE_ROWS
        return replace(
            self,
            alive=np.concatenate([self.alive, np.zeros(more, bool)]),
            category=np.concatenate([self.category, np.full(more, None)]),
            brand=np.concatenate([self.brand, np.full(more, None)]),
            price=np.concatenate([self.price, np.full(more, np.nan, np.float32)]),
        )


def new_card(parent_asin: str, **known: Any) -> dict[str, Any]:
    """Return a card with what is known; texts are empty and the rest None otherwise."""
    blank: dict[str, Any] = dict.fromkeys(CARD_SCHEMA)
    empty = {"title": "", "store": "", "summary": "", "keywords": [], "keyword_reviews": []}
    return blank | empty | known | {"parent_asin": parent_asin}


def _lower(names: pl.Series) -> list[str | None]:
    return names.str.to_lowercase().to_list()
