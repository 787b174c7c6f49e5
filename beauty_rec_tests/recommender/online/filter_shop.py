"""Shops for tests of filters: items of a few kinds, and one of many stores."""

from typing import Any

import numpy as np
import polars as pl

from beauty_rec.items.vocabulary import Entry, Vocabulary
from beauty_rec.recommender.online.stock.cards import CARD_SCHEMA
from beauty_rec.recommender.online.stock.catalogue import Catalogue, new_card

N, LATER = 120, 20
SCENTS = ("rose", "lavender", "mint", "cedar")
TREES: tuple[list[str], ...] = (
    ["Beauty", "Hair", "Shampoo"],
    ["Beauty", "Hair"],
    ["Beauty", "Skin"],
    [],
)
VOCABULARY = Vocabulary((), ("scent",), tuple(Entry("re", "scent", s, 9) for s in SCENTS), 2)


def item(row: int) -> dict[str, Any]:
    return new_card(
        f"i{row}",
        category=("Soap", "perfume", None)[row % 3],
        brand=f"B{row % 4}",
        store="Corner" if row % 2 else "",
        price=None if row % 5 == 0 else float(row % 50),
        average_rating=None if row >= N or row % 7 == 0 else 1 + row % 9 / 2,
        rating_number=None if row >= N else row,
        categories=TREES[row % len(TREES)],
    )


def scents(row: int) -> list[int]:
    return [3 + row % 4, 3 + row % 3 if row % 6 else 0]


def shop() -> Catalogue:
    cards = pl.DataFrame([item(row) for row in range(N)], schema=CARD_SCHEMA)
    first = Catalogue.of(cards, np.array([scents(r) for r in range(N)], np.int32), VOCABULARY)
    later = np.array([scents(r) for r in range(N, N + LATER)], np.int32)
    grown = first.with_items([item(row) for row in range(N, N + LATER)], [], later)
    grown.in_stock[::11] = False
    return grown


SHOP = shop()


STORES = [f"{name} house of {number}" for number in range(1_500) for name in ("rose", "cedar")]


def wide() -> Catalogue:
    """As many stores as a marketplace has, and items of each."""
    rows = 7 * len(STORES)
    known = {"parent_asin": [f"w{row}" for row in range(rows)], "store": STORES * 7}
    blank = {name: [None] * rows for name in CARD_SCHEMA}
    return Catalogue.of(pl.DataFrame({**blank, **known}, schema=CARD_SCHEMA))
