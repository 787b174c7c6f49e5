"""Recommendations to many users in one call."""

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient

from beauty_rec.recommender.online.requests import BatchRequest, RecommendRequest
from beauty_rec.serving.http.rate import Rate
from beauty_rec.serving.http.routes import answers
from beauty_rec.serving.http.routes.responses import json_list
from beauty_rec.serving.http.turns.batching import LIGHT, Batcher, Overloaded
from beauty_rec.serving.http.turns.cost import USERS_AT_ONCE, SeveralQuestions, cost_of
from beauty_rec.serving.state.engine import Engine
from beauty_rec_tests.serving.http.doors import client_of

USERS = [f"AUSER{number:020d}" for number in range(100)] + ["a stranger"]
AT = 1_650_000_000_000


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    with client_of(engine) as client:
        yield client


def same(one: Any, other: Any) -> None:
    """Two answers are the same; products of more rows may differ in a float's last bits."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name, value in one.items():
            same(value, other[name])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for mine, yours in zip(one, other, strict=True):
            same(mine, yours)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)
    else:
        assert one == other


@pytest.mark.parametrize(
    "shared",
    [
        {},
        {"context": "wedding", "k": 20},
        {"context": "a rose soap", "filters": {"category": ["soap", "serum"]}, "diversity": 0.3},
        {"exclude_seen": False, "exclude": ["B130000003"], "k": 100},
    ],
)
def test_a_batch_answers_as_one_by_one(client: TestClient, shared: dict) -> None:
    told = {"at": AT, **shared}
    answer = client.post("/v1/recommend/batch", json={"user_ids": USERS, **told})
    assert answer.status_code == 200
    answers = answer.json()["answers"]
    assert [one["user_id"] for one in answers] == USERS
    for one in answers[::7] + answers[-1:]:
        alone = client.post("/v1/recommend", json={"user_id": one["user_id"], **told}).json()
        assert one["recommendation_id"] != alone["recommendation_id"]
        own = ("user_id", "recommendation_id")
        same(
            {name: value for name, value in one.items() if name not in own},
            {name: value for name, value in alone.items() if name not in own},
        )


def test_a_long_answer_is_written_while_others_have_their_turn(engine: Engine) -> None:
    found = engine.recommend([RecommendRequest(user_id=user, k=3, at=AT) for user in USERS[:20]])
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def write() -> list[bytes | memoryview]:
        other = asyncio.ensure_future(others())
        answers = [await json_list("answers", some) for some in (found, found[:1], [])]
        other.cancel()
        return [answer.body for answer in answers]

    written = asyncio.run(write())
    assert written == [orjson.dumps({"answers": some}) for some in (found, found[:1], [])]
    assert turns >= len(found)


def test_a_batch_that_makes_no_sense_is_422(client: TestClient) -> None:
    for told, where in (
        ({"user_ids": []}, "body.user_ids"),
        ({"user_ids": ["u"] * 1_001}, "body.user_ids"),
        ({"user_ids": ["u"], "history": ["B1"]}, "body.history"),
        ({"user_ids": ["u"], "filters": {"category": "soaap"}}, "filters.category"),
        ({"user_ids": ["u"], "k": 101}, "body.k"),
    ):
        answer = client.post("/v1/recommend/batch", json=told)
        assert answer.status_code == 422, told
        assert answer.json()["errors"][0]["where"] == where


def test_a_batch_costs_its_users_and_is_asked_as_each_would_be(engine: Engine) -> None:
    batch = BatchRequest(user_ids=USERS, context="gift", k=5)
    assert batch.alone()[3] == RecommendRequest(user_id=USERS[3], context="gift", k=5)
    alone = cost_of(batch.alone()[0])
    some = SeveralQuestions(tuple(batch.alone()[:USERS_AT_ONCE]))
    assert 0.1 < cost_of(some) / (USERS_AT_ONCE * alone) <= 0.5
    assert cost_of(some) > LIGHT  # it has the lane of large questions


def test_a_greedy_batch_is_paid_for(engine: Engine) -> None:
    with client_of(engine, requests_per_second=5) as client:
        client.post("/v1/recommend/batch", json={"user_ids": USERS})
        assert client.post("/v1/recommend", json={}).status_code == 429


def test_the_server_s_diversity_is_paid_for(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid: list[float] = []
    monkeypatch.setattr(Rate, "charge", lambda self, client, cost: paid.append(cost))
    for diversity in (0, 0.5):
        with client_of(engine, diversity=diversity) as client:
            assert client.post("/v1/recommend", json={"k": 300}).status_code == 200
    assert paid == [pytest.approx(2), pytest.approx(3)]


def shown(client: TestClient) -> float:
    """Items of batches that were shown, as the metrics have it."""
    lines = client.get("/metrics").text.splitlines()
    of_batches = [line for line in lines if line.startswith("beauty_rec_shown_items_total{")]
    return sum(float(line.split()[-1]) for line in of_batches if 'kind="batch"' in line)


def test_a_batch_that_fails_part_way_was_not_shown(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, asked = Batcher.ask, list[Any]()

    async def full_at_first(self: Any, question: Any, *more: Any) -> Any:
        asked.append(question)
        if len(asked) == 3:
            raise Overloaded
        return await ask(self, question, *more)

    monkeypatch.setattr(answers, "USERS_AT_ONCE", 2)
    with client_of(engine) as client:
        monkeypatch.setattr(Batcher, "ask", full_at_first)
        told = {"user_ids": USERS[:8], "k": 5}
        assert client.post("/v1/recommend/batch", json=told).status_code == 503
        assert shown(client) == 0
        found = client.post("/v1/recommend/batch", json=told).json()["answers"]
        assert len(asked) == 3 + 4
        assert shown(client) == sum(len(one["items"]) for one in found) > 0
        assert len({one["recommendation_id"] for one in found}) == len(USERS[:8])
