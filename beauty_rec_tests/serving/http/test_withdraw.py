"""A shop takes items back and forgets users: in the next answer, over restarts and new sets."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.serving.http.app import create_app
from beauty_rec.serving.state.database import STORE
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import ServeSettings, Settings
from beauty_rec_tests.recommender.served_set import KEY
from beauty_rec_tests.recommender.synthetic_set import Size, publish_synthetic

SMALL = Size(items=40, events=300, users=30, seed=3)
NEXT = Size(items=40, events=310, users=30, seed=3)
ORDERS: tuple[dict[str, Any], ...] = (
    {"context": "a gentle soap"},
    {"context": "wedding"},
    {},
    *({"sources": [name]} for name in ("popular", "new_arrivals", "user_tower")),
)


@pytest.fixture(scope="module")
def folder(encoder: TextEncoder) -> Iterator[Path]:
    # Not tmp_path: a second pytest would close its parents to the user that root's server runs as.
    made = Path(tempfile.mkdtemp(prefix="beauty-rec-withdraw-"))
    publish_synthetic(made, SMALL, encoder, encode=True)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@contextmanager
def shop(folder: Path, **serve: Any) -> Iterator[tuple[Engine, TestClient]]:
    chosen = ServeSettings(api_key=KEY, requests_per_second=0, **serve)
    with (
        Engine.open(Settings(data_dir=folder, serve=chosen)) as engine,
        TestClient(
            create_app(engine), base_url="http://127.0.0.1", headers={"X-API-Key": KEY}
        ) as client,
    ):
        yield engine, client


def shown(client: TestClient, item: str, other: str) -> set[str]:
    """By which doors an item is shown; ``other`` is one that it is like."""
    found = set()
    for wish in ORDERS:
        answer = client.post("/v1/recommend", json={**wish, "k": 40, "stages": True}).json()
        if any(item in (i["parent_asin"], *(w.get("parent_asin") for w in i["why"]))
               for i in answer["items"]):  # fmt: skip
            found.add(f"recommend {wish}")
        if any(item == i["parent_asin"] for i in answer["candidates"]):
            found.add(f"stages {wish}")
    for order in ("hybrid", "text_retriever", "lexical"):
        asked: dict[str, Any] = {
            "q": "soap serum shampoo perfume mascara lipstick",
            "k": 40,
            "order": order,
        }
        hits = client.get("/v1/search", params=asked).json()["items"]
        if item in [hit["parent_asin"] for hit in hits]:
            found.add(f"search {order}")
    hits = client.get(f"/v1/items/{other}/similar", params={"k": 40}).json()["items"]
    if item in [hit["parent_asin"] for hit in hits]:
        found.add("similar")
    reasons = client.post("/v1/recommend", json={"history": [item, other], "k": 30}).json()
    if item in [why.get("parent_asin") for i in reasons["items"] for why in i["why"]]:
        found.add("reasons")
    return found


def test_a_withdrawn_item_is_nowhere_until_it_is_given_back(
    folder: Path, encoder: TextEncoder
) -> None:
    with shop(folder) as (engine, client):
        item, other = engine.shop.space.ids[:2]
        before = shown(client, item, other)
        assert {"similar", "search hybrid", "recommend {}"} <= before
        for _ in range(2):
            gone = client.delete(f"/v1/items/{item}")
            assert (gone.status_code, gone.json()["hidden"]) == (200, True)
        assert shown(client, item, other) == set()
        assert client.get(f"/v1/items/{item}").json()["hidden"] is True
        assert client.get(f"/v1/items/{item}/similar").json()["items"]
        learned = {"user_id": "a buyer", "parent_asin": item}
        assert client.post("/v1/events", json=learned).status_code == 200
        kept = len(engine.shop.catalogue)
    with shop(folder) as (engine, client):
        assert shown(client, item, other) == set()
        publish_synthetic(folder, NEXT, encoder, encode=True)
        assert engine.look()
        assert shown(client, item, other) == set()
        assert len(engine.shop.catalogue) == kept
        assert client.patch(f"/v1/items/{item}", json={"hidden": False}).json()["hidden"] is False
        assert shown(client, item, other) == before
        client.delete(f"/v1/items/{item}")
        again = {"parent_asin": item, "title": "A gentle rose soap"}
        assert client.post("/v1/items", json={"items": [again]}).status_code == 200
        assert "similar" in shown(client, item, other)
        assert client.delete(f"/v1/items/{item}").status_code == 200
        assert shown(client, item, other) == set()
        client.patch(f"/v1/items/{item}", json={"hidden": False})


def test_what_is_out_of_stock_is_not_recommended_unless_the_shop_says_so(folder: Path) -> None:
    with shop(folder) as (engine, client):
        item, other = engine.shop.space.ids[2:4]
        said = client.patch(f"/v1/items/{item}", json={"in_stock": False, "price": 7.5}).json()
        assert (said["in_stock"], said["price"], said["hidden"]) == (False, 7.5, False)
        doors = shown(client, item, other)
        assert "similar" in doors
        assert not [door for door in doors if door.startswith(("recommend", "stages"))]
        detail = client.get(f"/v1/items/{item}").json()
        assert (detail["in_stock"], detail["price"]) == (False, 7.5)
        priced: dict[str, Any] = {"q": "soap", "k": 40, "min_price": 7.5, "max_price": 7.5}
        hits = client.get("/v1/search", params=priced).json()["items"]
        assert item in [hit["parent_asin"] for hit in hits]
    with shop(folder, out_of_stock="show") as (_, client):
        answer = client.post("/v1/recommend", json={"k": 40}).json()["items"]
        stock = {each["parent_asin"]: each["in_stock"] for each in answer}
        assert stock[item] is False
        assert stock[other] is True
        client.patch(f"/v1/items/{item}", json={"in_stock": True, "price": None})


def test_an_unknown_item_is_named_its_nearest(folder: Path) -> None:
    with shop(folder) as (engine, client):
        item = engine.shop.space.ids[0]
        for call in (client.delete, client.get, lambda p: client.patch(p, json={"hidden": True})):
            answer = call(f"/v1/items/{item.lower()}x")
            assert answer.status_code == 404
            assert item in answer.json()["detail"]
        assert client.patch(f"/v1/items/{item}", json={}).status_code == 422
        assert client.patch(f"/v1/items/{item}", json={"hiden": True}).status_code == 422


@pytest.mark.slow
def test_a_forgotten_user_is_a_stranger_and_in_no_file_of_the_database(
    folder: Path, encoder: TextEncoder
) -> None:
    with shop(folder) as (engine, client):
        user = next(iter(engine.shop.people.users))
        item = engine.shop.space.ids[5]
        plain = client.post("/v1/recommend", json={"user_id": "a stranger", "k": 9}).json()
        for moment in (1_600_000_000_000, 1_600_000_000_001):
            event = {"user_id": user, "parent_asin": item, "timestamp": moment}
            assert client.post("/v1/events", json=event).status_code == 200
        known = client.post("/v1/recommend", json={"user_id": user, "k": 9}).json()
        assert known["notes"] == []
        answer = client.delete(f"/v1/users/{user}").json()
        assert (answer["events"], answer["erased"]) == (2, True)
        assert client.delete(f"/v1/users/{user}").json()["events"] == 0
        found = client.post("/v1/recommend", json={"user_id": user, "k": 9}).json()
        assert found["items"] == plain["items"]
        assert "not known" in found["notes"][0]
        assert traces(folder / STORE, user) == []
    # Nor by being asked for again: all impressions are written by now.
    assert traces(folder / STORE, user) == []
    with shop(folder) as (engine, client):
        assert engine.shop.past(user, None) is None
        publish_synthetic(folder, SMALL, encoder, encode=True)
        engine.look()
        assert engine.shop.past(user, None) is None
        # Who comes back begins anew; what was done before comes too late.
        late = {"user_id": user, "parent_asin": item, "timestamp": 1_600_000_000_000}
        other = {"user_id": "somebody else", "parent_asin": item, "timestamp": 1_600_000_000_000}
        told = client.post("/v1/events", json=[late, other])
        assert (told.status_code, told.json()["stored"]) == (200, 1)
        assert engine.shop.past(user, None) is None
        client.post("/v1/events", json={"user_id": user, "parent_asin": item})
        assert [e.parent_asin for e in engine.shop.past(user, None) or []] == [item]
        client.delete(f"/v1/users/{user}")
    assert traces(folder / STORE, user) == []


def test_events_are_taken_back_one_by_one_or_all(folder: Path) -> None:
    with shop(folder) as (engine, client):
        first, second = engine.shop.space.ids[7:9]
        for item, moment in ((first, 1), (first, 2), (second, 1)):
            event = {"user_id": "of/three", "parent_asin": item,
                     "timestamp": 1_600_000_000_000 + moment}  # fmt: skip
            assert client.post("/v1/events", json=event).status_code == 200
        one: dict[str, Any] = {"parent_asin": first, "timestamp": 1_600_000_000_002}
        path = "/v1/users/of%2Fthree/events"
        assert client.delete(path, params=one).json()["events"] == 1
        assert client.delete(path, params=one).json()["events"] == 0
        assert len(engine.shop.past("of/three", None) or []) == 2
        assert client.delete(path, params={"parent_asin": second}).json()["events"] == 1
        assert [e.parent_asin for e in engine.shop.past("of/three", None) or []] == [first]
        assert client.delete(path).json()["events"] == 1
        assert engine.shop.past("of/three", None) is None


def traces(folder: Path, text: str) -> list[str]:
    """The files below a folder that hold a text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if text.encode() in path.read_bytes()]
