"""What one client asks for takes no thread that the others need."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from beauty_rec.recommender.online.stock.nearest_ids import NearestIds
from beauty_rec.recommender.online.stock.new_items import make_rows
from beauty_rec.serving.http.app import create_app
from beauty_rec.serving.http.turns.one_by_one import OneByOne
from beauty_rec.serving.state import given
from beauty_rec.serving.state.engine import Engine
from beauty_rec_tests.recommender.served_set import KEY
from beauty_rec_tests.serving.http.doors import client_of, engine_with, problem

KEYED = {"X-API-Key": KEY}
KNOWN = "B130000003"


@pytest.fixture
def client(engine: Engine) -> TestClient:
    return client_of(engine)


def test_items_that_are_being_made_keep_no_thread_of_the_others(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(*arguments: Any) -> Any:
        begun.set()
        assert go_on.wait(30)
        return make_rows(*arguments)

    monkeypatch.setattr(given, "make_rows", slowly)
    transport = httpx.ASGITransport(create_app(engine_with(engine)))
    item = {"parent_asin": "GREEDY", "title": "A rose soap of one client"}
    event = {"user_id": "another client", "parent_asin": KNOWN, "type": "view"}

    async def play() -> list[int]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1", headers=KEYED
        ) as client:
            body = {"items": [item]}
            adding = [asyncio.create_task(client.post("/v1/items", json=body)) for _ in range(4)]
            try:
                while not begun.is_set():
                    await asyncio.sleep(0.01)
                async with asyncio.timeout(10):
                    others = [
                        await client.get("/v1/facets"),
                        await client.post("/v1/events", json=event),
                    ]
            finally:
                go_on.set()
            return [answer.status_code for answer in (*others, *await asyncio.gather(*adding))]

    assert asyncio.run(play()) == [200] * 6


def test_calls_go_one_by_one_and_who_gives_up_is_not_waited_for() -> None:
    async def play() -> list[str]:
        adding, go_on, done = OneByOne(), threading.Event(), list[str]()
        first = asyncio.create_task(adding.call("a shop", go_on.wait, 10))
        late = asyncio.create_task(adding.call("a shop", done.append, "late"))
        await adding.call("another shop", done.append, "another")
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
        go_on.set()
        assert await first is True
        await asyncio.to_thread(adding.close)
        await adding.call("a shop", done.append, "again")
        await asyncio.to_thread(adding.close)
        return done

    assert asyncio.run(play()) == ["another", "again"]


def test_the_nearest_id_is_looked_for_beside_the_event_loop(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, on_loop = NearestIds.find, list[bool]()

    def noted(self: NearestIds, *given: Any) -> str | None:
        on_loop.append(asyncio._get_running_loop() is not None)
        return find(self, *given)

    monkeypatch.setattr(NearestIds, "find", noted)
    calls = (
        lambda path: client.get(path),
        lambda path: client.delete(path, headers=KEYED),
        lambda path: client.patch(path, json={"hidden": True}, headers=KEYED),
    )
    for call in calls:
        assert KNOWN in problem(call(f"/v1/items/{KNOWN}x"))["detail"]
    assert on_loop == [False] * 3


def test_a_body_that_is_wrong_without_measure_is_one_fault(client: TestClient) -> None:
    body = {f"n{number}": 1 for number in range(80_000)}
    for told in (
        body,
        {"profile": body},
        {"history": [{"n": 1, **dict.fromkeys("abcdefghij")}] * 900},
    ):
        answer = client.post("/v1/recommend", json=told)
        assert answer.status_code == 422
        assert len(problem(answer)["errors"]) == 1
