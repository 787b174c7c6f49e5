"""Names of attributes and values in filters: as they are typed, and the nearest known."""

import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import polars as pl
import pytest

from beauty_rec.recommender.online.stock import columns
from beauty_rec.recommender.online.stock.cards import CARD_SCHEMA
from beauty_rec.recommender.online.stock.catalogue import Catalogue, new_card
from beauty_rec.recommender.online.stock.columns import UnknownFilter
from beauty_rec.recommender.online.stock.filters import Filter
from beauty_rec.recommender.online.stock.near_names import BESIDE, SortedNames
from beauty_rec_tests.recommender.online.filter_shop import (
    SHOP,
    STORES,
    VOCABULARY,
    item,
    scents,
    shop,
    wide,
)


def test_unknown_names_and_values_are_named_with_the_nearest() -> None:
    with pytest.raises(UnknownFilter, match=r"'sent'.*nearest known: scent"):
        SHOP.passing(Filter.model_validate({"sent": "rose"}))
    with pytest.raises(UnknownFilter, match=r"'lavendar'.*lavender"):
        SHOP.passing(Filter.model_validate({"any_of": [{"scent": ["rose", "lavendar"]}]}))
    with pytest.raises(UnknownFilter, match=r"'hairs'.*hair"):
        SHOP.passing(Filter.model_validate({"max_price": 0, "not": {"categories": "hairs"}}))


def test_a_name_is_the_same_however_it_was_typed() -> None:
    names = ("Lancôme", "비누", "Tom's <3 of Maine")
    cards = [{**item(row), "brand": brand} for row, brand in enumerate(names)]
    sparse = np.array([scents(row) for row in range(len(cards))], np.int32)
    catalogue = Catalogue.of(pl.DataFrame(cards, schema=CARD_SCHEMA), sparse, VOCABULARY)
    for row, name in enumerate(names):
        for typed in (name, unicodedata.normalize("NFD", name), f" {name}\u200b ", name.upper()):
            mask = catalogue.passing(Filter.model_validate({"brand": typed}))
            assert mask is not None
            assert np.flatnonzero(mask).tolist() == [row], typed


def test_every_node_that_is_named_can_be_asked_for() -> None:
    trees = (["Hair>Care", "Dry Hair"], ["c" * 400, "d" * 400])
    cards = [{**item(row), "categories": tree} for row, tree in enumerate(trees)]
    sparse = np.array([scents(row) for row in range(len(cards))], np.int32)
    first = Catalogue.of(pl.DataFrame(cards, schema=CARD_SCHEMA), sparse, VOCABULARY)
    for catalogue in (first, shop().with_items(cards, [], sparse)):
        (nodes,) = catalogue.facets(["categories"], 1_000).values()
        assert {"hair>care", "hair>care > dry hair", "c" * 400} <= {name for name, _ in nodes}
        for name, count in nodes:
            mask = catalogue.passing(Filter.model_validate({"categories": name}))
            assert mask is not None
            assert mask.sum() >= count > 0
        with pytest.raises(UnknownFilter) as refused:
            catalogue.passing(Filter.model_validate({"categories": "c" * 399}))
        assert len(str(refused.value)) < 1_000


def test_a_misspelt_name_is_held_against_few_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    compared, ordered = list[int](), list[int]()
    matches = get_close_matches

    class Counted(SortedNames):
        def __init__(self, names: Sequence[str]) -> None:
            ordered.append(len(names))
            super().__init__(names)

    def counted(name: str, among: Any, *more: Any) -> list[str]:
        compared.append(len(among))
        return matches(name, among, *more)

    monkeypatch.setattr(columns, "SortedNames", Counted)
    monkeypatch.setattr(columns, "get_close_matches", counted)
    catalogue = wide()
    for misspelt, meant in (
        ("rose house of 12345", "rose house of 1234"),
        ("cedr house of 777", "cedar house of 777"),
        ("ROSE HAUSE OF 1400", "rose house of 1400"),
        ("lily house of 88", "house of 88"),
    ):
        with pytest.raises(UnknownFilter, match=f"the nearest known: .*{meant}"):
            catalogue.passing(Filter(store=misspelt))
    grown = catalogue.with_items([new_card("new", store="The Newest Store")], [])
    with pytest.raises(UnknownFilter, match="the newest store"):
        grown.passing(Filter(store="the newest stor"))
    assert max(compared) <= 4 * BESIDE + 1
    assert ordered == [len(STORES), 0, 1]  # of the set once, of the rest when it has grown
