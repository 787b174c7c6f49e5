"""What `benchmarks/plain_asks.py` takes an item for, and what it makes of answers."""

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest

from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.sample.catalogue import make_catalogue
from beauty_rec.sample.metadata import MetadataWriter
from beauty_rec.sample.tables import load_tables
from benchmarks import plain_asks as benchmark

TYPES = {product.noun for place in load_tables().departments for product in place.types}


def test_an_items_type_is_what_the_sample_made_it() -> None:
    tables = load_tables()
    catalogue = make_catalogue(600, tables, np.random.default_rng(3))
    writer = MetadataWriter(tables, catalogue, Random(3))
    for item in range(len(catalogue)):
        made = tables.departments[catalogue.department[item]].types[catalogue.type[item]].noun
        title = writer.write(item, f"B{item}", 4.0, 1)["title"]
        assert benchmark.type_of(title) == made, title


def test_thirty_asks_name_thirty_types_of_all_departments() -> None:
    wanted = [noun for noun, _ in benchmark.ASKS]
    assert len(set(wanted)) == len({words for _, words in benchmark.ASKS}) == 30
    assert set(wanted) <= TYPES
    for place in load_tables().departments:
        assert {product.noun for product in place.types} & set(wanted), place.name


class Engine:
    """Answers three items of the type that is asked for, two to somebody who has a past."""

    def recommend(self, asks: Sequence[RecommendRequest]) -> list[dict[str, Any]]:
        noun_of = {words: noun for noun, words in benchmark.ASKS}
        titles = [[noun_of[str(ask.context)]] * (2 if ask.user_id else 3) for ask in asks]
        return [
            {"items": [{"title": title, "category": "care"} for title in [*own, None]]}
            for own in titles
        ]


def test_the_table_has_the_items_of_the_type_and_their_means() -> None:
    cards = pl.DataFrame({"title": ["Shampoo"] * 12, "category": ["care"] * 9 + [None] * 3})
    rows = benchmark.asked(Engine(), cards, ["a", "b"])  # type: ignore[arg-type]
    assert benchmark.means(rows) == pytest.approx((3, 2, 4 / 30)), "one type's category is known"
    page = list(benchmark.table(rows))
    assert "| gentle shampoo for a dry itchy scalp | 12 | 3 | 2.0 | 4 |" in page
    assert page[-1] == "| **mean** (aims: 8 and 7) | | 3.0 | 2.0 | 0.1 |"


def test_shoppers_have_several_events_and_are_those_of_the_seed() -> None:
    events = pl.DataFrame({"user_id": [user for user in "abcdef" for _ in range(ord(user) - 96)]})
    drawn = benchmark.shoppers_of(events, 3, seed=13)
    assert drawn == benchmark.shoppers_of(events.sort("user_id", descending=True), 3, seed=13)
    assert len(set(drawn) & set("cdef")) == 3
