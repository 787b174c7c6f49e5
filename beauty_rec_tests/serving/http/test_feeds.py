"""Feeds over HTTP and by the command line."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from beauty_rec.cli import app
from beauty_rec.serving.state.engine import Engine
from beauty_rec_tests.recommender.served_set import KEY, USER
from beauty_rec_tests.serving.http.doors import client_of

ITEM = "B130000003"


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    with client_of(engine) as client:
        yield client


def test_every_feed_answers_with_cards_and_the_version(client: TestClient) -> None:
    version = client.get("/version").json()["version"]
    card = client.get("/v1/search", params={"q": "rose"}).json()["items"][0].keys()
    for name, given in {
        "trending": {}, "new-arrivals": {"category": "soap"}, "popular": {"context": "gym"},
        "bought-together": {"parent_asin": ITEM}, "because-you-bought": {"user_id": USER},
    }.items():  # fmt: skip
        found = client.get(f"/v1/feeds/{name}", params={"k": 4, **given}).json()
        assert found["version"] == version
        assert found["order"] == name
        lists = [found["items"], *(shelf["items"] for shelf in found["shelves"])]
        assert any(lists), name
        for item in (item for items in lists for item in items):
            assert item.keys() == card | {"figures"}


@pytest.mark.parametrize(
    ("path", "where", "said"),
    [
        ("trendy", "path.feed", "trending"),
        ("bought-together", "query.parent_asin", "needs"),
        ("bought-together?parent_asin=B1300000031", "query.parent_asin", "B130000003"),
        ("trending?context=gym", "query.context", "popular"),
        ("popular?context=gymm", "query.context", "gym"),
        ("trending?category=soaap", "filters.category", "soap"),
        ("trending?k=0", "query.k", "1"),
    ],
)
def test_what_makes_no_sense_is_422_and_names_the_nearest(
    client: TestClient, path: str, where: str, said: str
) -> None:
    answer = client.get(f"/v1/feeds/{path}")
    assert answer.status_code == 422
    fault = answer.json()["errors"][0]
    assert fault["where"] == where
    assert said in fault["what"]


def test_an_event_over_the_api_trends_at_once(client: TestClient) -> None:
    before = client.get("/v1/feeds/trending").json()["items"]
    name = "B130000299"
    assert name not in [item["parent_asin"] for item in before]
    for user in ("t1", "t2"):
        told = {"user_id": user, "parent_asin": name, "timestamp": int(time.time() * 1000)}
        assert client.post("/v1/events", json=told, headers={"X-API-Key": KEY}).status_code == 200
    assert name in [
        item["parent_asin"] for item in client.get("/v1/feeds/trending").json()["items"]
    ]
    mine = client.get("/v1/feeds/trending", params={"user_id": "t1"}).json()["items"]
    assert name not in [item["parent_asin"] for item in mine]


def test_items_are_alike_by_vectors(client: TestClient) -> None:
    near = client.get(f"/v1/items/{ITEM}/similar", params={"by": "vectors", "k": 3}).json()
    assert near["order"] == "item_tower"
    assert len(near["items"]) == 3


def test_the_terminal_shows_the_same(client: TestClient, data: Path) -> None:
    run = CliRunner().invoke
    folder = ["--data-dir", str(data)]
    found = run(app, ["feed", "bought-together", "--item", ITEM, "-k", "3", "--json", *folder])
    over_http = client.get("/v1/feeds/bought-together", params={"parent_asin": ITEM, "k": 3})
    assert json.loads(found.stdout)["items"] == over_http.json()["items"]
    lines = run(app, ["feed", "because-you-bought", "--user", USER, "-k", "2", *folder]).stdout
    assert lines.startswith("because of B13")
    assert "lift" in lines
    near = run(app, ["similar", ITEM, "--by", "vectors", "-k", "2", *folder]).stdout
    assert near.count("B13") == 2
    wrong = run(app, ["feed", "trending", "--item", ITEM, *folder])
    assert "--item: trending does not read it" in str(wrong.exception)
