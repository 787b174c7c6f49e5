"""The API through HTTP: answers, refusals, limits, headers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from beauty_rec.cli import app as cli
from beauty_rec.recommender.online.requests import SearchOrder, SimilarBy
from beauty_rec.serving.http.app import create_app
from beauty_rec.serving.http.server import serve
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import ServeSettings, Settings
from beauty_rec_tests.recommender.served_set import KEY, USER
from beauty_rec_tests.serving.http.doors import client_of, problem

KEYED = {"X-API-Key": KEY}
NEW = {
    "parent_asin": "NEW1",
    "title": "Zanzibar clove shampoo for a dry scalp",
    "price": 9.5,
    "features": ["250 ml"],
    "attributes": {"scent": ["rose"]},
}


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    with TestClient(create_app(engine), base_url="http://127.0.0.1") as client:
        yield client


def test_recommend_and_search_answer(client: TestClient) -> None:
    answer = client.post("/v1/recommend", json={"user_id": USER, "context": "rose soap"}).json()
    assert len(answer["items"]) == 10
    found = client.get("/v1/search", params={"q": "rose soap", "k": 3, "category": "soap"}).json()
    assert [hit["category"] for hit in found["items"]] == ["soap"] * 3


def test_the_document_names_every_order_of_hits(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    said = document["components"]["schemas"]["Hits"]["properties"]["order"]["description"]
    asked: list[tuple[str, dict]] = [
        *(("/v1/search", {"q": "rose soap", "order": order}) for order in get_args(SearchOrder)),
        *(("/v1/items/B130000003/similar", {"by": by}) for by in get_args(SimilarBy)),
    ]
    for path, more in asked:
        assert client.get(path, params=more).json()["order"] in said


def test_filters_by_query_and_body_mean_the_same(client: TestClient) -> None:
    asked = {"category": ["soap", "serum"], "not": {"scent": "rose"}, "price": {"max": 40}}
    text = json.dumps(asked)
    found = client.get("/v1/search", params={"q": "rose soap", "k": 20, "filter": text}).json()
    near = client.get("/v1/items/B130000003/similar", params={"k": 20, "filter": text}).json()
    body = {"context": "rose soap", "k": 20, "filters": asked}
    answer = client.post("/v1/recommend", json=body).json()
    for items in (found["items"], near["items"], answer["items"]):
        assert len(items) == 20
        assert {item["category"] for item in items} == {"soap", "serum"}
        assert all(item["price"] <= 40 for item in items)
    plain = {"q": "soap", "category": ["soap", "serum"], "filter": '{"category": "serum"}'}
    hits = client.get("/v1/search", params=plain).json()["items"]
    assert {hit["category"] for hit in hits} == {"serum"}


@pytest.mark.parametrize("text", ["{", "[]", '{"price": {"max": "x"}}', '{"scent": "rosse"}'])
def test_filters_that_make_no_sense_are_422_everywhere(client: TestClient, text: str) -> None:
    for path, more in (("/v1/search", {"q": "soap"}), ("/v1/items/B130000003/similar", {})):
        response = client.get(path, params={**more, "filter": text})
        assert response.status_code == 422
        assert "filter" in problem(response)["errors"][0]["where"]
    if "rosse" in text:
        assert "the nearest known: rose" in problem(response)["detail"]


def test_an_item_and_those_like_it(client: TestClient) -> None:
    item = client.get("/v1/items/B130000003").json()
    assert item["attributes"]["category"] == [item["category"]]
    assert item["train_events"] > 0
    near = client.get("/v1/items/B130000003/similar", params={"k": 5}).json()["items"]
    assert len(near) == 5
    assert "B130000003" not in [hit["parent_asin"] for hit in near]
    last = client.get("/v1/items/B130000299/similar").json()["items"]
    assert last == []  # it has no text


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"user_id": "nobody"},
        {"history": []},
        {"history": ["no such item"]},
        {"history": [{"parent_asin": "B130000003", "rating": 1, "timestamp": 1_600_000_000_000}]},
        {"k": 1000},
        {"filters": {"min_price": 1e8}},
        {"context": "   "},
        {"context": "\ufffd 🧴 " + "x" * 1900},
        {"profile": {"height_cm": 168, "shoe": "blue", "weight_kg": None}},
        {"profile": {"height_cm": "tall"}},
        {"user_id": USER, "at": 100_000_000_000},
        {"sources": ["text_retriever"]},
        {"sources": ["lexical"], "context": "words that no item has: qwxz"},
        {"sources": ["item_to_item"]},
        {"diversity": 1},
    ],
)
def test_odd_questions_get_answers(client: TestClient, told: dict) -> None:
    response = client.post("/v1/recommend", json=told)
    assert response.status_code == 200, response.text
    assert len(response.json()["items"]) <= told.get("k", 10)


@pytest.mark.parametrize(
    "told",
    [
        {"k": 0},
        {"k": 1001},
        {"history": ["x"] * 1001},
        {"history": ["\x00"]},
        {"context": "x" * 2001},
        {"user_id": ""},
        {"filters": {"min_price": 5, "max_price": 4}},
        {"filters": {"colour": "red"}},
        {"filters": {"category": "no such category"}},
        {"sources": []},
        {"diversity": 2},
        {"at": -1},
        {"profile": {"height_cm": 1e300}},
        [],
        "x",
    ],
)
def test_questions_that_make_no_sense_are_422(client: TestClient, told: object) -> None:
    response = client.post("/v1/recommend", json=told)
    assert response.status_code == 422
    assert problem(response)["errors"]


@pytest.mark.parametrize("body", [b"{", b'{"k": NaN}', b'"\xff"', b'{"context": "\\ud800"}'])
def test_bodies_that_are_no_json_are_422(client: TestClient, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    response = client.post("/v1/recommend", content=body, headers=headers)
    assert response.status_code in (400, 422)
    problem(response)


def test_what_is_not_there_is_404(client: TestClient) -> None:
    for path in ("/v1/items/none", "/v1/items/none/similar", "/none", "/assets/none.js"):
        assert problem(client.get(path))["status"] == 404
    event = {"user_id": "u", "parent_asin": "none"}
    assert problem(client.post("/v1/events", json=event, headers=KEYED))["status"] == 404
    assert problem(client.get("/v1/recommend"))["status"] == 405


def test_a_new_item_is_found_at_once(client: TestClient) -> None:
    stored = client.post("/v1/items", json={"items": [NEW]}, headers=KEYED)
    assert stored.json()["stored"] == 1
    text = f"[Title] {NEW['title']} [Features] 250 ml"  # an untrained encoder knows its own words
    for order in ("hybrid", "text_retriever"):
        found = client.get("/v1/search", params={"q": text, "order": order}).json()["items"]
        assert found[0]["parent_asin"] == "NEW1"
    assert found[0]["score"] == pytest.approx(1, abs=1e-3)  # a cosine
    item = client.get("/v1/items/NEW1").json()
    assert item["attributes"]["scent"] == ["rose"]
    assert item["category"] == "shampoo"  # read off the title
    told = {"history": ["NEW1"], "k": 3}
    why = client.post("/v1/recommend", json=told).json()["items"][0]["why"]
    assert why[0]["parent_asin"] == "NEW1"
    bad = {**NEW, "attributes": {"flavour": "x"}}
    response = client.post("/v1/items", json={"items": [bad]}, headers=KEYED)
    assert "scent" in problem(response)["detail"]  # it lists what there is


def test_what_was_told_is_known_after_a_restart(client: TestClient, settings: Settings) -> None:
    client.post("/v1/items", json={"items": [NEW]}, headers=KEYED)
    event = {"user_id": "a regular", "parent_asin": "NEW1"}
    assert client.post("/v1/events", json=event, headers=KEYED).status_code == 200
    with Engine.open(settings) as again:
        assert again.item("NEW1")["title"] == NEW["title"]
        assert [e.parent_asin for e in again.shop.past("a regular", None) or []] == ["NEW1"]


def test_writes_need_the_key(client: TestClient, engine: Engine) -> None:
    for path, body in (("/v1/items", {"items": [NEW]}), ("/v1/events", {"user_id": "u"})):
        assert problem(client.post(path, json=body))["status"] == 401
        wrong = client.post(path, json=body, headers={"X-API-Key": "wrong"})
        assert problem(wrong)["status"] == 401
    without = client_of(engine, api_key=None)
    assert problem(without.post("/v1/items", json={"items": [NEW]}, headers=KEYED))["status"] == 403


def test_elsewhere_everything_needs_the_key(engine: Engine) -> None:
    with client_of(engine, host="0.0.0.0") as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/").status_code == 200
        for path in ("/v1/search?q=x", "/version", "/metrics", "/v1/sample-users"):
            assert problem(client.get(path))["status"] == 401
            assert client.get(path, headers=KEYED).status_code == 200


def test_binding_elsewhere_without_a_key_is_refused(data: Path) -> None:
    with pytest.raises(ValueError, match="api_key"):
        serve(Settings(data_dir=data, serve=ServeSettings(host="0.0.0.0")))


def test_another_name_for_this_machine_is_refused(client: TestClient) -> None:
    response = client.get("/v1/search?q=x", headers={"host": "evil.example"})
    assert problem(response)["status"] == 421


def test_large_bodies_and_fast_clients_are_refused(client: TestClient, engine: Engine) -> None:
    large = client.post("/v1/recommend", content=b" " * 1_000_001)
    assert problem(large)["status"] == 413
    chunked = client.post("/v1/recommend", content=(b" " * 100_000 for _ in range(11)))
    assert problem(chunked)["status"] == 413
    with client_of(engine, requests_per_second=2) as fast:
        statuses = [fast.get("/version") for _ in range(6)]
        assert [r.status_code for r in statuses[:4]] == [200] * 4
        assert problem(statuses[5])["status"] == 429
        assert int(statuses[5].headers["retry-after"]) >= 1
        assert fast.get("/readyz").status_code == 200


def test_headers_of_safety_and_ids(client: TestClient) -> None:
    response = client.get("/", headers={"x-request-id": "abc-123"})
    assert response.headers["x-request-id"] == "abc-123"
    assert "script-src 'self'" in response.headers["content-security-policy"]
    assert "unsafe" not in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in response.headers
    odd = client.get("/healthz", headers={"x-request-id": "<script>"})
    assert odd.headers["x-request-id"] != "<script>"


def test_cors_only_for_those_listed(engine: Engine) -> None:
    with client_of(engine, cors_origins=("https://shop.example",)) as client:
        mine = client.get("/healthz", headers={"origin": "https://shop.example"})
        assert mine.headers["access-control-allow-origin"] == "https://shop.example"
        other = client.get("/healthz", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


def test_the_command_line_answers_alike(client: TestClient, data: Path) -> None:
    told = {"user_id": USER, "context": "rose soap", "profile": {"height_cm": 168.0}, "k": 5}
    over_http = client.post("/v1/recommend", json=told).json()
    words = ["recommend", "--user", USER, "--context", "rose soap", "--height-cm", "168", "-k", "5"]
    run = CliRunner().invoke(cli, [*words, "--json", "--data-dir", str(data)])
    assert run.exit_code == 0, run.output
    printed = json.loads(run.stdout)
    assert [i["parent_asin"] for i in printed["items"]] == [
        i["parent_asin"] for i in over_http["items"]
    ]
    # What a terminal shows is no impression: no event can name it.
    assert printed.keys() | {"recommendation_id"} == over_http.keys()
    for one, other in zip(printed["items"], over_http["items"], strict=True):
        for name in ("score", "probability"):
            assert one.pop(name) == pytest.approx(other.pop(name), abs=1e-6)
        ours, theirs = one.pop("sources"), other.pop("sources")
        assert ours.keys() == theirs.keys()
        for source, standing in ours.items():
            assert standing == pytest.approx(theirs[source], abs=1e-4)
        assert one == other
    plain = CliRunner().invoke(cli, [*words, "--data-dir", str(data)])
    assert over_http["items"][0]["parent_asin"] in plain.stdout
    narrow = ["--filter", '{"brand": "house 3"}', "--category", "soap", "--category", "serum"]
    search = ["search", "rose soap", "-k", "3", "--data-dir", str(data), "--json"]
    hits = json.loads(CliRunner().invoke(cli, [*search, *narrow]).stdout)["items"]
    assert {hit["brand"] for hit in hits} == {"house 3"}
    assert {hit["category"] for hit in hits} <= {"soap", "serum"}
    refused = CliRunner().invoke(cli, [*words, "--filter", '{"brand": []}'])
    assert "--filter: brand" in str(refused.exception)


def test_facets_offer_what_a_filter_takes(client: TestClient) -> None:
    answer = client.get("/v1/facets", params={"k": 3}).json()
    assert {"category", "brand", "scent", "store"} <= set(answer["fields"])
    assert answer["facets"].keys() == {"category", "brand"}
    for value in answer["facets"]["category"]:
        asked = {"q": "rose", "k": 100, "category": value["value"]}
        assert len(client.get("/v1/search", params=asked).json()["items"]) == value["items"]
    counts = [value["items"] for value in answer["facets"]["brand"]]
    assert counts == sorted(counts, reverse=True)
    assert len(counts) == 3
    wrong = client.get("/v1/facets", params={"field": "scemt"})
    assert wrong.status_code == 422
    assert "scent" in problem(wrong)["detail"]
