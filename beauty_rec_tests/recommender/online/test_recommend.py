"""What an answer holds, and that it does not depend on what is asked beside it."""

import numpy as np
import pytest

from beauty_rec.ranking.features.build import Candidates, Query
from beauty_rec.recommender.online.requests import NewEvent, RecommendRequest
from beauty_rec.serving.state.engine import Engine
from beauty_rec_tests.recommender.served_set import USER

AT = 1_600_000_000_000


def ask(engine: Engine, **told: object) -> dict:
    return engine.recommend([RecommendRequest(at=AT, **told)])[0]


def ids(answer: dict) -> list[str]:
    return [item["parent_asin"] for item in answer["items"]]


def test_a_batch_answers_each_as_alone(engine: Engine) -> None:
    questions = [
        RecommendRequest(at=AT, user_id=USER, k=20),
        RecommendRequest(at=AT, context="rose soap"),
        RecommendRequest(at=AT),
        RecommendRequest(at=AT, user_id=USER, context="wedding", profile={"height_cm": 168}),
        RecommendRequest(at=AT, history=["B130000003", "B130000009"], filters={"max_price": 20}),
    ]
    together = engine.recommend(questions)
    for question, answer in zip(questions, together, strict=True):
        alone = engine.recommend([question])[0]
        assert ids(answer) == ids(alone)
        for one, other in zip(answer["items"], alone["items"], strict=True):
            assert one["score"] == pytest.approx(other["score"], abs=1e-6)
            assert one["why"] == other["why"]


def test_scores_fall_and_stages_are_shown(engine: Engine) -> None:
    answer = ask(engine, user_id=USER, context="rose soap", stages=True)
    scores = [item["score"] for item in answer["items"]]
    assert scores == sorted(scores, reverse=True)
    assert [item["rank"] for item in answer["items"]] == list(range(1, 11))
    fused = [one["fused_score"] for one in answer["candidates"]]
    assert fused == sorted(fused, reverse=True)
    assert all(1 <= item["candidate"]["text_rank"] <= 101 for item in answer["items"])


def test_seen_items_are_left_out_unless_asked_for(engine: Engine) -> None:
    past = {e.parent_asin for e in engine.world.past(USER, AT) or []}
    assert len(past) >= 5
    assert not past & set(ids(ask(engine, user_id=USER, k=300)))
    assert past & set(ids(ask(engine, user_id=USER, k=300, exclude_seen=False)))
    first = ids(ask(engine, user_id=USER))[0]
    assert first not in ids(ask(engine, user_id=USER, k=300, exclude=[first]))


def test_a_filter_changes_who_is_answered_and_no_score(engine: Engine) -> None:
    free = ask(engine, user_id=USER, context="rose soap", k=300)
    score = {item["parent_asin"]: item["score"] for item in free["items"]}
    for filters in ({"category": "soap"}, {"max_price": 15.0}, {"brand": "House 3"}):
        answer = ask(engine, user_id=USER, context="rose soap", k=300, filters=filters)
        assert answer["items"]
        for item in answer["items"]:
            assert item["score"] == pytest.approx(score[item["parent_asin"]], abs=1e-5)
            assert item["category"] == filters.get("category", item["category"])
            assert (item["price"] or 0) <= filters.get("max_price", 1e9)


def test_sources_can_be_chosen(engine: Engine) -> None:
    tower = ask(engine, context="rose soap", k=100, sources=["user_tower"])
    text = ask(engine, context="rose soap", k=100, sources=["text_retriever"])
    assert all(item["candidate"]["tower_rank"] <= 101 for item in tower["items"])
    assert all(item["candidate"]["text_rank"] <= 101 for item in text["items"])
    nothing = ask(engine, sources=["text_retriever"])
    assert nothing["items"] == []
    assert "the text retriever needs a context" in nothing["notes"]


def test_reasons_are_what_the_data_say(engine: Engine) -> None:
    answer = ask(engine, user_id=USER, context="something for a dry scalp", k=50)
    past = {e.parent_asin for e in engine.world.past(USER, AT) or []}
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


def test_scores_are_the_rerankers_own(engine: Engine) -> None:
    answer = ask(engine, user_id=USER, context="wedding", k=30)
    world = engine.world
    past = [e.parent_asin for e in world.past(USER, AT) or []]
    query = Query(AT, past[-50:], "wedding", world.people.profile(USER))
    standing = [item["candidate"] for item in answer["items"]]
    names = ("tower_score", "tower_rank", "text_score", "text_rank")
    retrieval = np.array([[s[n] for n in names] for s in standing], dtype=np.float32)
    told = Candidates(np.zeros(len(standing), np.int64), ids(answer), retrieval)
    scores = world.models.reranker.probabilities(world.builder.build([query], told))
    found = [item["score"] for item in answer["items"]]
    np.testing.assert_allclose(found, scores, atol=1e-6)


def test_an_event_changes_the_next_answer(engine: Engine) -> None:
    question = {"user_id": "somebody new", "k": 300}
    before = engine.recommend([RecommendRequest(**question)])[0]
    assert "is not known" in before["notes"][0]
    chosen = before["items"][3]["parent_asin"]
    engine.add_event(NewEvent(user_id="somebody new", parent_asin=chosen))
    after = engine.recommend([RecommendRequest(**question)])[0]
    assert after["notes"] == []
    assert chosen not in ids(after)
    assert ids(after) != ids(before)


def test_diversity_changes_the_order_only(engine: Engine) -> None:
    plain = ask(engine, user_id=USER, context="rose soap", k=100)
    varied = ask(engine, user_id=USER, context="rose soap", k=100, diversity=0.7)
    assert ids(plain) != ids(varied)
    assert sorted(ids(plain)) == sorted(ids(varied))
