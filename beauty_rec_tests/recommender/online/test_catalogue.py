"""Search and filters against a loop over all items."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beauty_rec.recommender.online.cards import CARD_SCHEMA
from beauty_rec.recommender.online.catalogue import SPARE_ROWS, Catalogue, Filters, new_card

N, W = 60, 12
draw = np.random.default_rng(5)
MATRIX = draw.normal(size=(N, W)).astype(np.float32)
MATRIX[7, 8:] = 0  # an item without text
MATRIX[21] = MATRIX[20]  # two items that nothing tells apart
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
    return Catalogue.of(CARDS["parent_asin"].to_list(), MATRIX, 5, 8, CARDS)


filters = st.builds(
    Filters,
    st.sampled_from([None, "soap", "SOAP", "perfume", "nothing"]),
    st.sampled_from([None, "b1", "B3"]),
    st.none() | st.floats(0, 70),
    st.none() | st.floats(0, 70),
)


@given(filters)
@settings(max_examples=60, deadline=None)
def test_filters_pass_what_they_say(told: Filters) -> None:
    mask = catalogue().passing(told)
    for row, card in enumerate(CARDS.iter_rows(named=True)):
        price = card["price"]
        wanted = (
            (told.category is None or (card["category"] or "").lower() == told.category.lower())
            and (told.brand is None or card["brand"] == told.brand.lower())
            and (told.min_price is None or (price is not None and price >= told.min_price))
            and (told.max_price is None or (price is not None and price <= told.max_price))
        )
        assert (True if mask is None else bool(mask[row])) == wanted


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("queries", [1, 2, 3, 11, 12, 40])
def test_scores_and_best_are_exact(queries: int, packed: bool) -> None:
    shop = catalogue() if packed else replace(catalogue(), packed=None)
    asked = draw.normal(size=(queries, W)).astype(np.float32)
    scores = shop.scores(asked)
    np.testing.assert_allclose(scores.numpy(), asked @ MATRIX.T, rtol=1e-4, atol=1e-4)
    rows, exact = shop.best(scores[0], asked[0], 15)
    wanted = MATRIX.astype(np.float64) @ asked[0]
    assert rows.tolist() == np.lexsort((np.arange(N), -wanted.astype(np.float32)))[:15].tolist()
    np.testing.assert_allclose(exact, wanted[rows], rtol=1e-6)


def test_ties_are_in_the_order_of_the_rows() -> None:
    shop = catalogue()
    rows, _ = shop.best(shop.scores(MATRIX[20:21])[0], MATRIX[20], 2)
    assert rows.tolist() == [20, 21]


def test_new_items_are_found_and_replaced_ones_are_gone() -> None:
    shop = catalogue()
    vectors = 9 * draw.normal(size=(2, W)).astype(np.float32)
    cards = [new_card("new", category="soap", price=3.0), new_card("i4", title="again")]
    grown = shop.with_items(vectors, cards)
    assert len(shop) == N
    assert len(grown) == N + 1
    assert grown.gone.tolist() == [4]
    assert grown.card(grown.row_of["i4"])["title"] == "again"
    scores = grown.scores(vectors[:1])[0]
    assert grown.best(scores, vectors[0], 1)[0].tolist() == [N]
    assert grown.ids[N] == "new"
    assert "new" not in shop.row_of
    assert len(shop.scores(vectors)[0]) == N
    many = np.tile(vectors[:1], (8, 1))
    np.testing.assert_allclose(grown.scores(many), np.tile(scores, (8, 1)), rtol=1e-4, atol=1e-4)


def test_the_catalogue_grows_beyond_its_spare_rows() -> None:
    shop = catalogue()
    for start in range(0, SPARE_ROWS + 60, 64):
        vectors = draw.normal(size=(64, W)).astype(np.float32)
        shop = shop.with_items(vectors, [new_card(f"n{start + i}") for i in range(64)])
    assert len(shop.ids) == len(set(shop.ids)) > N + SPARE_ROWS
    assert np.isfinite(shop.scores(vectors).numpy()).all()
    np.testing.assert_array_equal(shop.vectors(np.array([len(shop.ids) - 1]))[0], vectors[-1])
