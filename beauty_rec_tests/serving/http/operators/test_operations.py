"""What operators see through HTTP: metrics, logs, readiness, refusals and their reasons."""

import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from beauty_rec.serving.http.app import create_app
from beauty_rec.serving.state.connection import DatabaseDown
from beauty_rec.serving.state.engine import Engine
from beauty_rec.serving.state.rules import RulesKeeper
from beauty_rec_tests.recommender.served_set import KEY, USER
from beauty_rec_tests.serving.http.doors import client_of, engine_with, problem

KEYED = {"X-API-Key": KEY}
NEW = {"parent_asin": "NEW1", "title": "Zanzibar clove shampoo"}


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    with client_of(engine) as client:
        yield client


def test_metrics_version_and_logs_without_people(
    client: TestClient, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "beauty_rec.serving"):
        client.post("/v1/recommend", json={"user_id": USER, "context": "a secret wish"})
    told = " ".join(str(vars(record)) for record in caplog.records)
    assert "/v1/recommend" in told
    assert USER not in told
    assert "secret" not in told
    text = client.get("/metrics").text
    assert 'route="/v1/recommend",status="200"' in text
    assert "beauty_rec_ready 1.0" in text
    version = client.get("/version").json()
    assert version["version"] == client.get("/readyz").json()["set"]
    assert version["indexes"]["item_index"]["rows"] == 300
    assert version["served"] == {"nothing": "fused", "occasion": "reranked", "text": "hybrid"}
    assert version["measured"] == {"test": "2026-01-05"}
    assert version["reasons"].keys() == version["served"].keys()
    until = datetime.fromisoformat(version["statistics_until"]).timestamp()
    assert until == pytest.approx(engine.shop.path.tower.as_of_ms / 1000)


def test_without_the_database_answers_go_on(engine: Engine, monkeypatch) -> None:
    def down(*_: object, **__: object) -> None:
        raise DatabaseDown("the database is away")

    store = object.__new__(type(engine.store))
    store.__dict__ = {**engine.store.__dict__, "_connection": None}
    monkeypatch.setattr(store, "keep_open", lambda: None, raising=False)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "store", store)
        with client_of(engine) as client:
            ready = client.get("/readyz")
            assert ready.status_code == 503
            assert ready.json()["database"] is False
            assert ready.json()["reasons"] == ["the database is away: writes wait, answers go on"]
            assert client.head("/readyz").status_code == 503
            assert client.get("/healthz").status_code == 200
            assert client.post("/v1/recommend", json={}).status_code == 200
            response = client.post("/v1/items", json={"items": [NEW]}, headers=KEYED)
            assert problem(response)["status"] == 503
            assert response.headers["retry-after"]


def test_operations_say_why_something_is_refused_and_need_the_key(
    engine: Engine, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.toml"
    rule = '[[rules]]\nname = "rose"\ndo = "boost"\nfactor = 2.0\nfilter = { scent = "rose" }\n'
    rules.write_text(f"{rule}until = 2020-01-01T00:00:00Z\n")
    other = engine_with(engine)
    other.rules, other.refused = RulesKeeper(rules, engine.shop), "a part is missing"
    with TestClient(create_app(other), base_url="http://127.0.0.1") as client:
        assert client.get("/v1/operations").status_code == 401
        state = client.get("/v1/operations", headers=KEYED).json()
        assert state["set"]["refused"] == "a part is missing"
        assert state["set"]["version"] == client.get("/version").json()["version"]
        assert 0 <= state["set"]["looked_s"] < 3600
        assert state["rules"]["file"] == "rules.toml"
        (said,) = state["rules"]["rules"]
        assert (said["name"], said["do"], said["in_time"]) == ("rose", "boost", False)
        rules.write_text(rule.replace("rose", "rosse"))
        assert not other.look_at_rules()
        state = client.get("/v1/operations", headers=KEYED).json()
        assert "rosse" in state["rules"]["refused"]
        assert len(state["rules"]["rules"]) == 1
    keyless = engine_with(engine, api_key=None)
    with TestClient(create_app(keyless), base_url="http://127.0.0.1") as client:
        assert client.get("/v1/operations").status_code == 403
