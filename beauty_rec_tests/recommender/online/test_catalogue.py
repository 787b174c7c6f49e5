"""Items that come later, and what filters read of them."""

import numpy as np
import polars as pl

from beauty_rec.recommender.online.stock.cards import CARD_SCHEMA
from beauty_rec.recommender.online.stock.catalogue import SPARE_ROWS, Catalogue, new_card
from beauty_rec.recommender.online.stock.filters import Filter
from beauty_rec.recommender.online.stock.states import ItemState

N = 60
CARDS = pl.DataFrame(
    [
        new_card(
            f"i{row}",
            category=("Soap", "perfume", None)[row % 3],
            brand=f"b{row % 4}",
            price=None if row % 5 == 0 else float(row),
        )
        for row in range(N)
    ],
    schema=CARD_SCHEMA,
)


def catalogue() -> Catalogue:
    return Catalogue.of(CARDS)


def test_new_items_are_there_and_replaced_ones_are_gone() -> None:
    shop = catalogue()
    cards = [new_card("new", category="Soap", price=3.0), new_card("i4", title="again")]
    grown = shop.with_items(cards, [4])
    assert len(shop) == N
    assert len(grown) == N + 1
    assert grown.gone.tolist() == [4]
    assert not len(shop.gone)
    assert grown.card(N + 1)["title"] == "again"
    mask = grown.passing(Filter(category="soap", max_price=5))
    assert mask is not None
    assert np.flatnonzero(mask).tolist() == [3, N]
    both = grown.with_items([new_card("i4", title="third")], [N + 1])
    assert both.gone.tolist() == [4, N + 1]


def test_states_hide_price_and_let_go_again() -> None:
    shop = Catalogue.of(CARDS.with_columns(hidden=pl.col("parent_asin").is_in(["i2", "i5"])))
    assert shop.gone.tolist() == [2, 5]
    assert "hidden" not in shop.card(2)
    said = {2: ItemState(hidden=False), 3: ItemState(hidden=True), 4: ItemState(None, False, 1.5)}
    changed = shop.with_states(said)
    assert changed.gone.tolist() == [3, 5]
    assert changed.kept_back(out_of_stock=True).tolist() == [3, 4, 5]
    assert (changed.card(4)["price"], changed.price[4], changed.card(4)["in_stock"]) == (
        1.5,
        1.5,
        False,
    )
    assert shop.price[4] == 4.0  # another snapshot
    grown = changed.with_items([new_card("i5", price=2.0)], [5])
    assert grown.hidden[N]  # the set names the item, whichever row it is in
    again = grown.with_states({})
    assert again.gone.tolist() == [2, 5, N]
    assert again.price[4] == 4.0


def test_two_shops_that_grow_from_one_set_have_each_their_own_prices() -> None:
    shop = catalogue()
    dear = shop.with_items([new_card("dear", price=90.0)], [])
    cheap = shop.with_items([new_card("cheap", price=2.0)], [])
    for grown, price in ((dear, 90.0), (cheap, 2.0)):
        mask = grown.passing(Filter(min_price=price, max_price=price))
        assert mask is not None
        assert mask[N]


def test_the_catalogue_grows_beyond_its_spare_rows() -> None:
    shop = catalogue()
    for start in range(0, SPARE_ROWS + 60, 64):
        shop = shop.with_items([new_card(f"n{start + i}", price=1.0) for i in range(64)], [])
    assert len(shop) == shop.rows > N + SPARE_ROWS
    mask = shop.passing(Filter(max_price=1))
    assert mask is not None
    assert mask.sum() == shop.rows - N + int((CARDS["price"] <= 1).sum())
    assert shop.card(shop.rows - 1)["parent_asin"] == f"n{shop.rows - N - 1}"
