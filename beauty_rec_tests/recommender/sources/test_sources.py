"""Each source of candidates on a shop that is small enough to count by hand."""

import math
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from beauty_rec.artifacts import Vectors
from beauty_rec.ranking.features.build import Query
from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.recommender.asks import Asks
from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.recommender.online.understood import asks_of, understand
from beauty_rec.recommender.path import kind_of, tower_reads
from beauty_rec.recommender.sources import SIGNED, SOURCES, TEXT_SOURCES, sources_of
from beauty_rec.recommender.sources.arrivals import ArrivalsSource
from beauty_rec.recommender.sources.dense import DenseSource
from beauty_rec.recommender.sources.item_to_item import ItemToItemSource
from beauty_rec.recommender.sources.lexical import LexicalSource
from beauty_rec.recommender.sources.popular import PopularSource
from beauty_rec.recommender.sources.titles import TitlesSource
from beauty_rec.recommender.sources.user_tower import UserTowerSource
from beauty_rec.recommender.space import ItemSpace
from beauty_rec.retriever.item_words import ItemWords
from beauty_rec.retriever.lexical import LexicalIndex
from beauty_rec.serving.state.engine import Engine
from beauty_rec.towers.users.inputs import Requests
from beauty_rec.towers.users.item_matrix import ItemMatrix
from beauty_rec_tests.ranking import small_shop as shop
from beauty_rec_tests.recommender.served_set import USER

DAY = shop.DAY
IDS = [f"i{row}" for row in reversed(range(10))]  # the space has another order than the table
TEXTS = np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 2, 2, 0, 1, 2, 0]]
TEXTS[4] = 0  # i5 has no text


@pytest.fixture(scope="module")
def space() -> ItemSpace:
    matrix = np.concatenate([np.ones((10, 2), np.float32), TEXTS], axis=1)
    return ItemSpace.of(ItemMatrix(Vectors(IDS, matrix), 1, 1, 3, 0), Vectors([], TEXTS[:0]))


@pytest.fixture(scope="module")
def table() -> ItemTable:
    return shop.builder().table


def asks(queries: Sequence[Query], texts: np.ndarray | None = None) -> Asks:
    vectors = np.zeros((len(queries), 3), np.float32) if texts is None else texts
    requests: Requests = None  # type: ignore[assignment]  # no source here reads it
    return Asks(queries, requests, vectors, [np.zeros(0, np.int64)] * len(queries))


def by_id(scores: np.ndarray) -> dict[str, float]:
    return dict(zip(IDS, scores.tolist(), strict=True))


def test_the_names_are_in_one_order() -> None:
    assert (
        *("user_tower", "text_retriever", "lexical", "titles"),
        *("item_to_item", "popular", "new_arrivals"),
    ) == SOURCES
    assert TEXT_SOURCES == ("text_retriever", "lexical", "titles")
    assert (True, *[False] * 6) == SIGNED


def test_dense_is_the_cosine_with_the_text(space: ItemSpace) -> None:
    asked = np.array([[0.6, 0.8, 0.0]], np.float32)
    source = DenseSource()
    vectors = source.vectors(asks([Query(0, [], "x", {})], asked), space)
    found = space.exact(np.arange(10), vectors[0])
    np.testing.assert_allclose(found, TEXTS @ asked[0], atol=1e-6)
    silent = source.silent(space)
    assert silent is not None
    assert np.flatnonzero(silent).tolist() == [4]


@pytest.mark.parametrize("kind", [LexicalSource, TitlesSource])
def test_words_are_found_by_bm25_wherever_they_stand(
    space: ItemSpace, kind: type[LexicalSource]
) -> None:
    names = ["i2", "gone", "i7", "i0"]
    texts = ["rose soap", "rose rose", "night cream", "a soap of roses and mint"]
    index = LexicalIndex.build(names, texts)
    queries = [Query(0, [], None, {}), Query(0, [], "soap", {}), Query(0, [], "rose", {})]
    found = kind.of(index, space).scores(asks(queries), space)
    assert not found[0].any()
    for row, text in ((1, "soap"), (2, "rose")):
        wanted = dict(zip(names, index.scores([text])[0].tolist(), strict=True))
        for name, score in by_id(found[row]).items():
            assert score == wanted.get(name, 0.0)
    assert by_id(found[1])["i2"] > by_id(found[1])["i0"] > 0


def test_item_to_item_sums_the_company_of_the_past(space: ItemSpace, table: ItemTable) -> None:
    pasts = [["i0", "i1", "i1", "nobody"], [], ["i9"]]
    source = ItemToItemSource(table, space.rows(table.ids))
    found = source.scores(asks([Query(0, past, None, {}) for past in pasts]), space)
    dense = table.events.similar.toarray()
    for name, score in by_id(found[0]).items():
        row = int(name[1:])
        assert score == pytest.approx(dense[0, row] + dense[1, row], rel=1e-6)
    assert by_id(found[0])["i3"] > 0  # u3 took i3 and i0
    assert not found[1:].any()


def test_a_replaced_item_has_its_company_once(space: ItemSpace, table: ItemTable) -> None:
    tower: Any = SimpleNamespace(popular_half_life_days=2)  # it is not asked
    words = ItemWords.build(["i3"], ["a gown"], [None])
    sparse, price = table.sparse[[table.row_of["i3"]]], np.array([5.0], np.float32)
    grown = space.with_items(["i3"], space.vectors(space.rows(["i3"])))
    asked = asks([Query(0, ["i0", "i1"], None, {}), Query(0, ["i3"], None, {})])
    found = []
    for where, known in ((space, table), (grown, table.with_items(["i3"], sparse, price))):
        source = sources_of(where, tower, words, known)[SOURCES.index("item_to_item")]
        assert isinstance(source, ItemToItemSource)
        few = source.few(asked, where)
        found.append([
            {where.ids[row]: score for row, score in zip(one.rows, one.scores, strict=True)}
            for one in few
        ])  # fmt: skip
        assert grown.row_of["i3"] in few[0].rows or where is space
    assert found[0] == found[1]
    assert found[0][0]["i3"] > 0


def test_popular_counts_what_sells_of_late_within_the_occasion(
    space: ItemSpace, table: ItemTable
) -> None:
    source = PopularSource(table, table.rows(space.ids), 20)  # the table has 2 days alone
    queries = [Query(0, [], text, {}) for text in (None, " Wedding ", "of my own words")]
    found = source.scores(asks(queries), space)
    # Train ends on day 12; half-lives are 2 days in all, 4 within an occasion.
    bought = [0, 1, 2, 3, 0, 1, 4, 0, 1, 1, 2, 5]
    for name, score in by_id(found[0]).items():
        days = [day for day, item in enumerate(bought, 1) if f"i{item}" == name]
        overall = math.log(sum(2 ** (-(12 - day) / 2) for day in days) / 0.1 + 1)
        assert score == pytest.approx(overall, abs=1e-4)
        wedding = sum(2 ** (-(12 - day) / 4) for day in days if day % 2)
        within = math.log(wedding / 0.1 + 1)
        assert by_id(found[1])[name] == pytest.approx(within + 0.1 * overall, abs=1e-4)
    np.testing.assert_array_equal(found[2], found[0])
    assert by_id(found[0])["i9"] == pytest.approx(0, abs=1e-6)


def test_what_sells_in_all_fades_as_valid_found_best(space: ItemSpace, table: ItemTable) -> None:
    """By the user tower's half-life, or the nearest that the table counts by: for 90 that is 60."""
    days = np.array([14, 60, 180], np.float32)
    counts = np.log(np.arange(33, dtype=np.float32).reshape(3, 11) + np.float32(0.1))
    events = replace(table.events, half_lives_days=days, log_popularity=counts)
    places = table.rows(space.ids)
    asked = asks([Query(0, [], None, {})])
    for half_life, row in ((1, 0), (20, 0), (60, 1), (90, 1), (720, 2)):
        source = PopularSource(replace(table, events=events), places, half_life)
        wanted = counts[row, places] - np.log(0.1)
        np.testing.assert_allclose(source.scores(asked, space)[0], wanted, rtol=1e-5, atol=1e-6)
    unsaid = replace(events, half_lives_days=days[:0])  # of a set of before they were kept
    np.testing.assert_array_equal(unsaid.popularity(1), counts[1])


def test_new_arrivals_fade_from_their_first_event(space: ItemSpace, table: ItemTable) -> None:
    source = ArrivalsSource(table, table.rows(space.ids))
    moments = (72 * DAY, 0, 73 * DAY - 1)
    found = source.scores(asks([Query(moment, [], None, {}) for moment in moments]), space)
    assert by_id(found[0])["i9"] == 1  # nobody has bought it
    assert by_id(found[0])["i5"] == pytest.approx(math.exp(-60 / 60))  # first on day 12
    assert by_id(found[0])["i0"] == pytest.approx(math.exp(-71 / 60))
    assert (found[1] == 1).all()  # before all events everything is new
    np.testing.assert_array_equal(found[2], found[0])  # of one day


def test_the_user_tower_answers_as_over_its_own_matrix(engine: Engine) -> None:
    """It is given the rows of the past alone, and says what it says with all of them."""
    shop_of_now = engine.shop
    requests = [
        RecommendRequest(at=1_600_000_000_000, user_id=USER, context="wedding"),
        RecommendRequest(at=1_600_000_000_000, history=["B130000003", "no such item"]),
        RecommendRequest(at=1_600_000_000_000),
    ]
    for some in (requests, requests[2:]):
        asked = asks_of(shop_of_now, [understand(shop_of_now, one) for one in some])
        tower = shop_of_now.path.tower
        found = UserTowerSource(tower).vectors(asked, shop_of_now.space)
        wanted = tower.user_vectors(asked.requests)
        np.testing.assert_allclose(found[:, : wanted.shape[1]], wanted, atol=1e-5)
        assert not found[:, wanted.shape[1] :].any()


def test_a_text_is_an_occasion_or_words_of_ones_own(table: ItemTable) -> None:
    for text, kind in ((None, "nothing"), ("  ", "nothing"), (" Work", "occasion"), ("x", "text")):
        assert kind_of(text, table, False) == kind
        assert tower_reads(text, table, False) == (kind == "occasion")
    # A tower of free texts has no occasions.
    assert kind_of("work", table, True) == "text"
    assert tower_reads("x", table, True)
