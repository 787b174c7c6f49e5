"""Search by text: each order against a search of everything by hand."""

import numpy as np
import pytest

from beauty_rec.recommender.fusion import normalised
from beauty_rec.recommender.online.search import SearchQuestion, search, similar
from beauty_rec.recommender.online.stock.filters import Filter
from beauty_rec.recommender.sources import SIGNED, SOURCES
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import ServeSettings

ALL = ServeSettings(source_depth=1_000)
TEXTS = ("rose soap", "a night cream for dry skin", "zzz")


def by_hand(engine: Engine, text: str) -> dict[str, np.ndarray]:
    """Scores of all items by what reads a text, NaN where it says nothing."""
    shop = engine.shop
    vectors = shop.space.texts(np.arange(len(shop.space)))
    dense = vectors.astype(np.float64) @ shop.models.contexts([text])[0].astype(np.float64)
    dense[~vectors.any(axis=1)] = np.nan
    found = {"text_retriever": dense}
    for name, index in (("lexical", shop.path.words.texts), ("titles", shop.path.words.titles)):
        words = dict(zip(index.ids, index.scores([text])[0], strict=True))
        scores = np.array([words.get(item, 0.0) for item in shop.space.ids])
        found[name] = np.where(scores > 0, scores, np.nan)
    return found


@pytest.mark.parametrize("text", TEXTS)
def test_each_order_is_that_of_all_items(engine: Engine, text: str) -> None:
    wanted = by_hand(engine, text)
    for order in ("text_retriever", "lexical", "titles"):
        found = search(engine.shop, [SearchQuestion(text, 20, order=order)], ALL)[0]
        own = wanted[order]
        best = np.argsort(-np.nan_to_num(own, nan=-np.inf), kind="stable")
        ids = [engine.shop.space.ids[row] for row in best[: np.isfinite(own).sum()][:20]]
        assert found["order"] == order
        assert [hit["parent_asin"] for hit in found["items"]] == ids
    hybrid = search(engine.shop, [SearchQuestion(text, 20)], ALL)[0]["items"]
    rows = [engine.shop.space.row_of[hit["parent_asin"]] for hit in hybrid]
    tops = np.full((len(SOURCES), 2), np.nan, np.float32)
    scores = np.full((len(engine.shop.space), len(SOURCES)), np.nan, np.float32)
    for name, own in wanted.items():
        column = SOURCES.index(name)
        scores[:, column] = own
        if np.isfinite(own).any():
            tops[column] = np.nanmax(own), np.sort(own[np.isfinite(own)])[::-1][:100][-1]
    sums = engine.shop.path.orders.scores("hybrid", "text", normalised(scores, tops, SIGNED), {})
    np.testing.assert_allclose([hit["score"] for hit in hybrid], sums[rows], atol=1e-4)
    assert (np.sort(sums)[::-1][:20] <= sums[rows] + 1e-4).all()


@pytest.mark.parametrize(
    "typed", ["ro\xadse so\u200bap", "rose&nbsp;<b>soap</b>", "\u202arose\x07 soap"]
)
def test_a_text_is_read_as_those_of_the_items(engine: Engine, typed: str) -> None:
    plain, pasted = search(engine.shop, [SearchQuestion("rose soap"), SearchQuestion(typed)], ALL)
    assert pasted == plain
    assert search(engine.shop, [SearchQuestion("<br>")], ALL)[0]["order"] == "hybrid"


def test_questions_of_all_orders_are_answered_together(engine: Engine) -> None:
    soap = Filter(category="soap")
    asked = [
        SearchQuestion(TEXTS[0], 3),
        SearchQuestion(TEXTS[1], 5, order="lexical"),
        SearchQuestion(TEXTS[0], 7, soap),
        SearchQuestion(TEXTS[1], 8),
        SearchQuestion(TEXTS[0], 200),
    ]
    few = ServeSettings(source_depth=1)  # so that the last one looks deeper than the others
    together = search(engine.shop, asked, few)
    alone = [search(engine.shop, [one], few)[0] for one in asked]
    for one, other in zip(together, alone, strict=True):
        assert [h["parent_asin"] for h in one["items"]] == [
            h["parent_asin"] for h in other["items"]
        ]
    assert {hit["category"] for hit in together[2]["items"]} == {"soap"}
    assert [len(answer["items"]) for answer in together][:4] == [3, 5, 7, 8]


def test_what_is_near_an_item_is_not_the_item(engine: Engine) -> None:
    near = similar(engine.shop, 3, 5)
    assert near["order"] == "text_retriever"
    assert len(near["items"]) == 5
    assert engine.shop.space.ids[3] not in [hit["parent_asin"] for hit in near["items"]]


def test_what_is_taken_together_with_an_item(engine: Engine) -> None:
    shop, table = engine.shop, engine.shop.path.table
    company = table.events.similar.toarray()[:-1, :-1]
    row = int(company.sum(axis=1).argmax())
    name = table.ids[row]
    near = similar(shop, shop.space.row_of[name], 5, "baskets")
    best = np.argsort(-company[row], kind="stable")[:5]
    assert [hit["parent_asin"] for hit in near["items"]] == [table.ids[other] for other in best]
    assert near["items"][0]["score"] == pytest.approx(1)
    lonely = int(np.flatnonzero(company.sum(axis=1) == 0)[0])
    assert similar(shop, shop.space.row_of[table.ids[lonely]], 5, "baskets")["items"] == []
