"""What an answer holds, and that it does not depend on what is asked beside it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from beauty_rec.ranking.features.build import Candidates, Query
from beauty_rec.ranking.features.spec import RETRIEVAL
from beauty_rec.recommender.fusion import normalised
from beauty_rec.recommender.online.recommend import recommend
from beauty_rec.recommender.online.requests import NewEvent, RecommendRequest
from beauty_rec.recommender.online.stock.filters import Filter
from beauty_rec.recommender.online.stock.states import ItemState
from beauty_rec.recommender.said import REFERENCE
from beauty_rec.recommender.sources import SOURCES
from beauty_rec.serving.state.engine import Engine
from beauty_rec_tests.recommender.served_set import USER
from beauty_rec_tests.recommender.synthetic_set import ORDERS

AT = 1_600_000_000_000


def ask(engine: Engine, **question: Any) -> dict:
    return engine.recommend([RecommendRequest(at=AT, **question)])[0]


def ids(answer: dict) -> list[str]:
    return [item["parent_asin"] for item in answer["items"]]


def test_a_batch_answers_each_as_alone(engine: Engine) -> None:
    questions = [
        RecommendRequest(at=AT, user_id=USER, k=20),
        RecommendRequest(at=AT, context="rose soap"),
        RecommendRequest(at=AT),
        RecommendRequest(at=AT, user_id=USER, context="wedding", profile={"height_cm": 168}),
        RecommendRequest(at=AT, history=["B130000003", "B130000009"], filters=Filter(max_price=20)),
        RecommendRequest(at=AT, context="rose soap", k=300),  # looks deeper than the others
    ]
    together = engine.recommend(questions)
    for question, answer in zip(questions, together, strict=True):
        alone = engine.recommend([question])[0]
        assert ids(answer) == ids(alone)
        for one, other in zip(answer["items"], alone["items"], strict=True):
            assert one["score"] == pytest.approx(other["score"], abs=1e-6)
            assert one["why"] == other["why"]
            ranks, own = (
                {name: standing["rank"] for name, standing in item["sources"].items()}
                for item in (one, other)
            )
            assert ranks == own


def test_scores_fall_and_stages_are_shown(engine: Engine) -> None:
    answer = ask(engine, user_id=USER, context="rose soap", stages=True)
    scores = [item["score"] for item in answer["items"]]
    assert scores == sorted(scores, reverse=True)
    assert [item["rank"] for item in answer["items"]] == list(range(1, 11))
    shown = answer["candidates"]
    assert [one["parent_asin"] for one in shown] == ids(answer)
    assert [one["sources"] for one in shown] == [item["sources"] for item in answer["items"]]
    for item in answer["items"]:
        assert {"user_tower", "new_arrivals"} <= item["sources"].keys() <= set(SOURCES)
        assert all(standing["rank"] >= 1 for standing in item["sources"].values())
    # What knows nothing of a text says nothing, and the best of a source is its first.
    assert "text_retriever" not in ask(engine)["items"][0]["sources"]
    everything = ask(engine, user_id=USER, context="rose soap", k=300)["items"]
    for source in SOURCES:
        standings = [one["sources"][source] for one in everything if source in one["sources"]]
        best = max(standings, key=lambda standing: standing["score"])
        assert best["rank"] == 1


def test_the_order_is_that_of_the_kind_of_ask(engine: Engine) -> None:
    for context, order in ((None, "fused"), ("Wedding ", "reranked"), ("rose soap", "hybrid")):
        answer = ask(engine, user_id=USER, context=context)
        assert answer["order"] == order
        for item in answer["items"]:
            if order == "reranked":
                assert 0 < item["probability"] < 1
            else:
                assert item["probability"] is None


def test_seen_items_are_left_out_unless_asked_for(engine: Engine) -> None:
    past = {e.parent_asin for e in engine.shop.past(USER, AT) or []}
    assert len(past) >= 5
    assert not past & set(ids(ask(engine, user_id=USER, k=300)))
    assert past & set(ids(ask(engine, user_id=USER, k=300, exclude_seen=False)))
    first = ids(ask(engine, user_id=USER))[0]
    assert first not in ids(ask(engine, user_id=USER, k=300, exclude=[first]))


def test_a_filter_changes_who_is_answered_and_no_score(engine: Engine) -> None:
    free = ask(engine, user_id=USER, context="rose soap", k=300)
    score = {item["parent_asin"]: item["score"] for item in free["items"]}
    narrow: list[dict[str, Any]]
    narrow = [{"category": "soap"}, {"max_price": 15.0}, {"brand": "House 3"}]
    for filters in narrow:
        answer = ask(engine, user_id=USER, context="rose soap", k=300, filters=filters)
        assert answer["items"]
        for item in answer["items"]:
            assert item["score"] == pytest.approx(score[item["parent_asin"]], abs=1e-5)
            assert item["category"] == filters.get("category", item["category"])
            assert (item["price"] or 0) <= filters.get("max_price", 1e9)


def test_sources_can_be_chosen(engine: Engine) -> None:
    """Each brings its own best, and what all of them say of those is not another for it."""
    free = ask(engine, context="rose soap", k=300)
    score = {item["parent_asin"]: item["score"] for item in free["items"]}
    for source in ("user_tower", "text_retriever", "lexical"):
        answer = ask(engine, context="rose soap", k=100, sources=[source])
        assert 0 < len(answer["items"]) <= 100
        own = [item["sources"][source]["rank"] for item in answer["items"]]
        assert sorted(own)[0] == 1
        for item in answer["items"]:
            assert item["score"] == pytest.approx(score[item["parent_asin"]], abs=1e-5)
    nothing = ask(engine, sources=["text_retriever", "lexical"])
    assert nothing["items"] == []
    assert "text_retriever and lexical need a context" in nothing["notes"]


def test_an_empty_answer_says_why(engine: Engine) -> None:
    def why(**question: Any) -> str:
        answer = ask(engine, **question)
        assert answer["items"] == []
        return answer["notes"][-1]

    shop = engine.shop
    every = [shop.space.ids[row] for row in np.flatnonzero(shop.catalogue.alive[: len(shop.space)])]
    none: dict[str, Any] = {"filters": {"min_price": 1e8}}
    soaps: dict[str, Any] = {"filters": {"category": "soap"}, "exclude": every}
    assert why(**none) == "no item that may be shown passes the filters"
    assert why(**soaps) == "every item that passes the filters was seen before or is left out"
    assert why(exclude=every) == "every item that may be shown was seen before or is left out"
    assert why(history=every) == "every item that may be shown was seen before or is left out"
    for unanswered in (
        {"sources": ["lexical"]},
        {"sources": ["lexical"], "context": "zzzqqq"},
        {"sources": ["lexical", "titles"], "context": "zzzqqq"},
        {"sources": ["item_to_item"], "user_id": "a stranger"},
    ):
        names = " or ".join(unanswered["sources"])
        assert why(**unanswered) == f"nothing that may be shown is found by {names}"
    assert "lexical needs a context" in ask(engine, sources=["lexical"])["notes"]
    hidden = {row: ItemState(hidden=True) for row in range(shop.catalogue.rows)}
    empty = replace(shop, catalogue=shop.catalogue.with_states(hidden))
    asked = [RecommendRequest(), RecommendRequest(filters=Filter(category="soap"))]
    for answer in recommend(empty, asked, engine.serve):
        assert answer["notes"] == ["the shop has no item that may be shown"]


def test_in_a_text_s_own_words_its_item_comes_first(engine: Engine) -> None:
    catalogue = engine.shop.catalogue
    for row in (5, 60, 200):
        card = catalogue.card(row)
        title = card["title"]
        answer = ask(engine, context=title, k=20)
        assert answer["order"] == "hybrid"
        same = [i["parent_asin"] for i in answer["items"] if i["title"] == title]
        assert card["parent_asin"] in same
        assert ids(answer)[: len(same)] == same
        first = answer["items"][0]["sources"]
        assert first["lexical"]["rank"] == 1


def test_reasons_are_what_the_data_say(engine: Engine) -> None:
    answer = ask(engine, user_id=USER, context="something for a dry scalp", k=50)
    past = {e.parent_asin for e in engine.shop.past(USER, AT) or []}
    kinds = set()
    for item in answer["items"]:
        for reason in item["why"]:
            kinds.add(reason["kind"])
            if reason["kind"] == "similar":
                assert reason["parent_asin"] in past
            if reason["kind"] == "attribute":
                assert 1 <= reason["count"] <= reason["of"] <= len(past)
                known = engine.item(item["parent_asin"])["attributes"]
                assert reason["text"] in known[reason["field"]]
            if reason["kind"] == "keyword":
                assert reason["text"] in item["keywords"]
                assert reason["count"] >= 1
    assert {"similar", "attribute", "keyword"} <= kinds


def test_probabilities_are_the_rerankers_own(engine: Engine) -> None:
    answer = ask(engine, user_id=USER, context="wedding", k=300)
    shop = engine.shop
    past = [e.parent_asin for e in shop.past(USER, AT) or []]
    query = Query(AT, past[-50:], "wedding", shop.people.profile(USER))
    said = [item["sources"] for item in answer["items"]]
    scores = np.array(
        [[one.get(name, {"score": np.nan})["score"] for name in RETRIEVAL] for one in said],
        dtype=np.float32,
    )
    # The candidates are the union of the best of all sources: the best of each is among them.
    tops = np.array([[np.nanmax(column), -np.sort(-column)[:REFERENCE][-1]] for column in scores.T])
    signed = [name == "user_tower" for name in RETRIEVAL]
    retrieval = normalised(scores, tops.astype(np.float32), signed)
    candidates = Candidates(np.zeros(len(said), np.int64), ids(answer), retrieval)
    model = shop.path.models["reranked"]
    wanted = model.probabilities(shop.path.builder.build([query], candidates))
    found = np.array([item["probability"] for item in answer["items"]])
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    weights = ORDERS.weights["reranked"]["occasion"]
    ordered = weights["reranked"] * found / ORDERS.scales["reranked"]
    ordered += weights["user_tower"] * retrieval[:, RETRIEVAL.index("user_tower")]
    np.testing.assert_allclose([i["score"] for i in answer["items"]], ordered, atol=1e-5)


def test_an_event_changes_the_next_answer(engine: Engine) -> None:
    question: dict[str, Any] = {"user_id": "somebody new", "k": 300}
    before = engine.recommend([RecommendRequest(**question)])[0]
    assert "is not known" in before["notes"][0]
    chosen = before["items"][3]["parent_asin"]
    engine.add_events([NewEvent(user_id="somebody new", parent_asin=chosen)])
    after = engine.recommend([RecommendRequest(**question)])[0]
    assert after["notes"] == []
    assert chosen not in ids(after)
    assert ids(after) != ids(before)


def test_diversity_changes_the_order_only(engine: Engine) -> None:
    plain = ask(engine, user_id=USER, context="rose soap", k=300)
    varied = ask(engine, user_id=USER, context="rose soap", k=300, diversity=0.7)
    assert ids(plain) != ids(varied)
    assert ids(plain)[0] == ids(varied)[0]
    assert sorted(ids(plain)) == sorted(ids(varied))
