"""The filter language: against a plain loop over items, its bounds, and that k rows come back."""

import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.recommender.online.search import SearchQuestion
from beauty_rec.recommender.online.stock.columns import Columns
from beauty_rec.recommender.online.stock.filters import Filter, read_filter
from beauty_rec.recommender.online.stock.states import ItemState
from beauty_rec.serving.state.engine import Engine
from beauty_rec_tests.recommender.online.filter_shop import (
    LATER,
    SCENTS,
    SHOP,
    STORES,
    N,
    item,
    scents,
    shop,
    wide,
)
from beauty_rec_tests.recommender.served_set import USER


def labels(*values: str) -> st.SearchStrategy[Any]:
    return st.sampled_from(values) | st.lists(st.sampled_from(values), min_size=1, max_size=3)


def ranges(top: int) -> st.SearchStrategy[dict[str, float]]:
    low, high = st.floats(0, top / 2), st.floats(top / 2, top)
    return st.fixed_dictionaries({"min": low}) | st.fixed_dictionaries({"min": low, "max": high})


CLAUSES = st.fixed_dictionaries(
    {},
    optional={
        "category": labels("soap", "SOAP", "perfume"),
        "brand": labels("b0", "B1", "b2", "b3"),
        "store": labels("corner"),
        "categories": labels("hair", "Beauty > Hair", "beauty>skin", "Shampoo"),
        "scent": labels(*SCENTS),
        "price": ranges(50),
        "min_price": st.floats(0, 30),
        "max_price": st.floats(30, 60),
        "average_rating": ranges(5),
        "rating_number": ranges(N),
        "in_stock": st.booleans(),
    },
)
FILTERS = st.recursive(
    CLAUSES,
    lambda inner: st.builds(
        lambda own, parts: own | parts,
        CLAUSES,
        st.fixed_dictionaries(
            {},
            optional={
                "not": inner,
                "any_of": st.lists(inner, min_size=1, max_size=3),
                "all_of": st.lists(inner, min_size=1, max_size=3),
            },
        ),
    ),
    max_leaves=6,
)


def passes(row: int, asked: dict[str, Any]) -> bool:
    card = item(row)
    own = {
        **{name: [(card[name] or "").lower()] for name in ("category", "brand", "store")},
        "scent": [SCENTS[i - 3] for i in scents(row) if i],
    }
    path = [name.lower() for name in card["categories"]]

    def holds(name: str, value: Any) -> bool:
        if name == "not":
            return not passes(row, value)
        if name in ("any_of", "all_of"):
            return (any if name == "any_of" else all)(passes(row, part) for part in value)
        if name == "in_stock":
            return (row % 11 != 0) == value
        if name in ("min_price", "max_price"):
            return holds("price", {name[:3]: value})
        if isinstance(value, dict):
            number = np.nan if card[name] is None else np.float32(card[name])
            low, high = value.get("min", -1e9), value.get("max", 1e9)
            return bool(np.float32(low) <= number <= np.float32(high))
        values = [v.lower() for v in ([value] if isinstance(value, str) else value)]
        if name == "categories":
            nodes = [[part.strip() for part in node.split(">")] for node in values]
            return any(path[: len(n)] == n or (len(n) == 1 and n[0] in path) for n in nodes)
        return any(v in own[name] for v in values)

    return all(holds(name, value) for name, value in asked.items())


@given(FILTERS)
@settings(max_examples=150, deadline=None)
def test_a_filter_passes_what_a_plain_loop_does(asked: dict[str, Any]) -> None:
    mask = SHOP.passing(Filter.model_validate(asked))
    found = np.ones(SHOP.rows, bool) if mask is None else mask
    assert found.tolist() == [passes(row, asked) for row in range(N + LATER)]


@pytest.mark.parametrize("field", ["category", "brand", "scent", "categories"])
@pytest.mark.parametrize("most", [1, 2, 100])
def test_facets_count_what_a_filter_passes(field: str, most: int) -> None:
    shown = ~SHOP.hidden[: SHOP.rows] & SHOP.alive[: SHOP.rows]
    values = {*SHOP.columns.spans[field], *SHOP.columns.later.get(field, {})}
    counts = {
        value: int((mask & shown).sum())
        for value in values
        if (mask := SHOP.passing(Filter.model_validate({field: value}))) is not None
    }
    (found,) = SHOP.facets([field], most).values()
    assert found == sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:most]


def test_facets_do_not_count_what_is_hidden() -> None:
    rows = [row for row in range(N) if row % 4 == 1]  # all of a brand but one
    hidden = SHOP.with_states({row: ItemState(hidden=True) for row in [*rows, 0]})
    found = dict(hidden.facets(["brand"], 100)["brand"])
    whole = dict(SHOP.facets(["brand"], 100)["brand"])
    assert found["b0"] == whole["b0"] - 1
    assert found["b1"] == whole["b1"] - len(rows)
    assert (
        hidden.facets(["brand"], 3)["brand"]
        == sorted(found.items(), key=lambda one: (-one[1], one[0]))[:3]
    )


def test_the_memory_of_a_filter_does_not_grow_with_its_clauses() -> None:
    catalogue = wide()
    asked = Filter.model_validate({"any_of": [{"store": name} for name in STORES[:400]]})
    tracemalloc.start()
    mask = catalogue.passing(asked)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert mask is not None
    assert mask.sum() == 7 * 400
    assert peak < 50 * catalogue.rows


def test_facets_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    count, counted = Columns.counts, list[str]()

    def noted(self: Columns, field: str, *more: Any) -> list[tuple[str, int]]:
        counted.append(field)
        return count(self, field, *more)

    monkeypatch.setattr(Columns, "counts", noted)
    catalogue = shop()
    for most in (1, 3, 1_000):
        catalogue.facets(["brand", "scent"], most)
    assert counted == ["brand", "scent"]
    catalogue.with_states({1: ItemState(hidden=True)}).facets(["brand"], 3)
    assert counted == ["brand", "scent", "brand"]
    assert wide().facets(["brand"], 3) == {"brand": []}  # no item has one


def nested(levels: int) -> dict[str, Any]:
    asked: dict[str, Any] = {"brand": "b1"}
    for _ in range(levels):
        asked = {"not": asked}
    return asked


@pytest.mark.parametrize(
    "asked",
    [
        {"any_of": [{"brand": "b1"}] * 10_000},
        {"brand": ["b1"] * 10_000},
        {f"name {n}": "x" for n in range(10_000)},
        nested(1_000),
        nested(17),
    ],
    ids=["clauses", "values", "names", "deep", "just too deep"],
)
def test_a_filter_without_measure_is_refused_at_once(asked: dict[str, Any]) -> None:
    started = time.perf_counter()
    with pytest.raises(ValidationError, match="more than"):
        Filter.model_validate(asked)
    assert time.perf_counter() - started < 0.1
    assert Filter.model_validate(nested(15)).not_ is not None


NO_FILTERS = (
    *("{", "[1]", '"x"', "[" * 5000, '{"price": {}}', '{"price": {"max": NaN}}'),
    *('{"any_of": []}', '{"brand": ""}', '{"scent": {"min": 1}}'),
    *('{"x\\u0000": "y"}', '{"x\\ud800": "y"}'),
)


@pytest.mark.parametrize("text", NO_FILTERS)
def test_what_is_no_filter_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_filter(text)


@pytest.mark.parametrize("context", [None, "wedding", "rose soap"])
@pytest.mark.parametrize("sources", [None, ["item_to_item"], ["lexical"]])
def test_as_many_rows_come_back_as_there_are(
    engine: Engine, context: str | None, sources: list[str] | None
) -> None:
    """In every served order, whichever sources bring the candidates, for filters of any width."""
    for asked in (
        {"brand": "house 3", "category": "soap"},
        {"brand": "house 3"},
        {"scent": ["rose", "mint"], "not": {"price": {"max": 40}}},
        {"all_of": [{"brand": f"house {n}"} for n in (1, 2)]},
    ):
        filters = Filter.model_validate(asked)
        mask = engine.shop.catalogue.passing(filters)
        assert mask is not None
        alive = mask.copy()
        alive[engine.shop.catalogue.gone] = False
        named: dict[str, Any] = {} if sources is None else {"sources": sources}
        request = RecommendRequest(user_id=USER, context=context, exclude_seen=False, k=7,
                                   filters=filters, **named)  # fmt: skip
        items = engine.recommend([request])[0]["items"]
        rows = [engine.shop.space.row_of[i["parent_asin"]] for i in items]
        assert len(set(rows)) == len(rows) == min(7, alive.sum())
        assert mask[rows].all()


def test_search_and_similar_take_filters_too(engine: Engine) -> None:
    soap = Filter(category=["soap", "serum"], price=None, not_=Filter(brand="house 3"))
    found = engine.search([SearchQuestion("rose soap", 20, soap)])[0]["items"]
    near = engine.similar("B130000003", 20, "text", soap)["items"]
    for hits in (found, near):
        assert len(hits) == 20
        assert {hit["category"] for hit in hits} <= {"soap", "serum"}
        assert "house 3" not in {hit["brand"] for hit in hits}
