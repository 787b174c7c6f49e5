"""Several shops behind one door: each with its own answers, key, state and figures."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from beauty_rec_client import Client, RecommendRequest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.serving.http.app import create_app, create_shops_app
from beauty_rec.serving.http.shops import shop as module
from beauty_rec.serving.http.shops.shop import Shop, each_its_database
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import ServeSettings, Settings
from beauty_rec_tests.recommender.served_set import KEY, USER
from beauty_rec_tests.recommender.synthetic_set import Size, publish_synthetic
from beauty_rec_tests.serving.http.doors import engine_with
from beauty_rec_tests.serving.http.test_access import BODIES, CHANGES, ask, forms

SOAP_KEY = "the key of the soap shop"
ITEM = {"parent_asin": "ONLY1", "title": "A soap of one shop"}


@pytest.fixture(scope="module")
def other(encoder: TextEncoder) -> Iterator[Engine]:
    """The engine of another shop, with another catalogue."""
    folder = Path(tempfile.mkdtemp(prefix="beauty-rec-shops-"))
    try:
        publish_synthetic(folder, Size(items=60, events=400, seed=31), encoder, encode=True)
        with Engine.open(Settings(data_dir=folder)) as engine:
            yield engine
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def serving(*shops: Shop, **chosen: Any) -> Iterator[TestClient]:
    """A client of a server of shops; the key of `soaps` is its own."""
    serve = ServeSettings.model_validate({"api_key": KEY, "requests_per_second": 0, **chosen})
    folders = {str(shop.name): f"/nowhere/{shop.name}" for shop in shops}
    several = {"folders": folders, "keys": {"soaps": SOAP_KEY}}
    given = Settings.model_validate({"serve": serve, "shops": several})
    with TestClient(create_shops_app(shops, given), base_url="http://127.0.0.1") as client:
        yield client


def shop(name: str, engine: Engine) -> Shop:
    other = engine_with(engine)
    return Shop(name, lambda: other.settings, other)


@pytest.fixture(scope="module")
def client(engine: Engine, other: Engine) -> Iterator[TestClient]:
    with serving(shop("perfumes", engine), shop("soaps", other)) as client:
        yield client


def by_key(key: str) -> dict[str, str]:
    return {"X-API-Key": key}


def test_every_route_of_one_shop_is_there_for_each_of_several(
    client: TestClient, engine: Engine
) -> None:
    alone = create_app(engine).openapi()["paths"]
    several = client.get("/openapi.json").json()["paths"]
    at = "/v1/shops/{shop}"
    for path, methods in alone.items():
        if path.startswith("/v1/") or path in ("/readyz", "/version", "/metrics"):
            own = several[at + path.removeprefix("/v1")]
            assert set(own) == set(methods), path
            for operation in own.values():
                assert "shop" in [parameter["name"] for parameter in operation["parameters"]]
    assert not [path for path in several if path.startswith("/v1/") and at not in path][1:]


def test_each_shop_answers_from_its_own_folder(
    client: TestClient, engine: Engine, other: Engine
) -> None:
    asked = {"context": "a rose soap", "k": 5}
    for name, one in (("perfumes", engine), ("soaps", other)):
        at = f"/v1/shops/{name}"
        answer = client.post(f"{at}/recommend", json=asked).json()
        assert answer["version"] == one.shop.manifest.set
        assert {i["parent_asin"] for i in answer["items"]} <= set(one.shop.space.ids)
        assert client.get(f"{at}/version").json()["items"] == len(one.shop.catalogue)
        assert client.get(f"{at}/search?q=soap").json()["version"] == one.shop.manifest.set
        assert client.get(f"{at}/feeds/trending").status_code == 200
        batch = client.post(f"{at}/recommend/batch", json={"user_ids": [USER]})
        assert batch.status_code == 200, batch.text
    # What one is given the other does not know.
    given = client.post("/v1/shops/soaps/items", json={"items": [ITEM]}, headers=by_key(SOAP_KEY))
    assert given.status_code == 200
    assert client.get("/v1/shops/soaps/items/ONLY1").json()["title"] == ITEM["title"]
    assert client.get("/v1/shops/perfumes/items/ONLY1").status_code == 404
    event = {"user_id": "u", "parent_asin": "ONLY1"}
    refused = client.post("/v1/shops/perfumes/events", json=event, headers=by_key(KEY))
    assert refused.status_code == 404
    stored = client.post("/v1/shops/soaps/events", json=event, headers=by_key(SOAP_KEY))
    assert stored.json()["stored"] == 1
    gone = client.delete("/v1/shops/soaps/users/u", headers=by_key(SOAP_KEY)).json()
    assert gone["events"] == 1


def test_an_unknown_shop_is_named_with_the_nearest_known(client: TestClient) -> None:
    for method, path in (("POST", "recommend"), ("GET", "version"), ("GET", "readyz")):
        answer = client.request(method, f"/v1/shops/soap/{path}", json={})
        assert answer.status_code == 404
        assert "'soaps'" in answer.json()["detail"]
    assert "/v1/shops/{shop}" in client.post("/v1/recommend", json={}).json()["detail"]
    listed = client.get("/v1/shops").json()
    assert [one["shop"] for one in listed] == ["perfumes", "soaps"]
    assert {one["status"] for one in listed} == {"ready"}


def test_a_key_opens_its_own_shop_alone(client: TestClient) -> None:
    def change(at: str, key: str | None) -> int:
        headers = {} if key is None else by_key(key)
        return client.delete(f"/v1/shops/{at}/users/nobody", headers=headers).status_code

    for key in (None, "", "wrong" * 5):
        assert {change(name, key) for name in ("soaps", "perfumes", "soap", "%73oaps")} == {401}
    assert change("soaps", SOAP_KEY) == change("%73oaps", SOAP_KEY) == 200
    assert change("perfumes", KEY) == 200
    assert change("perfumes", SOAP_KEY) == change("soaps", KEY) == 401
    # Whatever a path is made to look like, the shop that would answer decides.
    for odd in (
        "perfumes%2F..%2Fsoaps",
        "perfumes%2F%2E%2E%2Fsoaps",
        "soaps%2Fusers%2Fx/..",
        "Soaps",
    ):
        assert change(odd, SOAP_KEY) in (401, 404)
    assert client.get("/v1/shops/soaps/items/ONLY1").status_code in (200, 404)  # reads are open


def test_no_odd_path_writes_to_a_shop_without_its_key(
    engine: Engine, other: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def change(*_: object, **__: object) -> str:
        written.append("changed")
        return "a set"

    for name in ("add_items", "add_events", "set_state", "forget", "drop_events"):
        monkeypatch.setattr(Engine, name, change)
    monkeypatch.setattr(Engine, "add_events", lambda *_: (change(), []))
    with serving(shop("perfumes", engine), shop("soaps", other)) as client:
        for path, body in {**BODIES, **CHANGES}.items():
            at = f"/v1/shops/soaps{path.removeprefix('/v1')}"
            for target in forms(at):
                for key in (None, "wrong", KEY):
                    sent = {} if key is None else {b"x-api-key": key.encode()}
                    for method in ("POST", "PATCH", "DELETE"):
                        status = ask(client.app, method, target, sent, body)
                        assert written == [], (method, target, key)
                        assert 300 <= status < 500, (method, target, status)
            methods = ("POST",) if path in BODIES else ("PATCH", "DELETE")
            for method in methods:
                ask(client.app, method, at, {b"x-api-key": SOAP_KEY.encode()}, body)
            assert written, path
            written.clear()


def test_elsewhere_nothing_of_a_shop_is_asked_without_its_key(
    engine: Engine, other: Engine
) -> None:
    with serving(shop("perfumes", engine), shop("soaps", other), host="0.0.0.0") as client:
        document = client.get("/openapi.json").json()["paths"]
        routes = [(method, path) for path, each in document.items() for method in each]
        of_shops = [(method, path) for method, path in routes if "{shop}" in path]
        assert len(of_shops) > 10
        for method, path in of_shops:
            for name, wrong in (("soaps", KEY), ("perfumes", SOAP_KEY), ("nothing", SOAP_KEY)):
                asked = path.format(shop=name, parent_asin="B1", user_id="U1", feed="trending")
                for headers in ({}, by_key("wrong" * 5), by_key(wrong)):
                    status = client.request(method, asked, headers=headers).status_code
                    expected = 401
                    if path.endswith("/readyz"):
                        expected = 404 if name == "nothing" else 200
                    assert status == expected, asked
        assert client.get("/v1/shops/soaps/version", headers=by_key(SOAP_KEY)).status_code == 200
        assert client.get("/v1/shops/nothing/version", headers=by_key(KEY)).status_code == 404
        assert client.get("/v1/shops", headers=by_key(SOAP_KEY)).status_code == 401
        assert client.get("/v1/shops", headers=by_key(KEY)).status_code == 200


def test_a_broken_shop_takes_no_other_down(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("no settings")
    broken = Shop("soaps", lambda: Settings(data_dir=tmp_path))
    assert not broken.open()
    with serving(shop("perfumes", engine), broken) as client:
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["status"] == "partly ready"
        assert ready.json()["reasons"] == ["soaps: nothing is served; the log says why"]
        assert client.get("/v1/shops/soaps/readyz").status_code == 503
        for method, path in (("POST", "recommend"), ("GET", "version"), ("GET", "sample-users")):
            away = client.request(method, f"/v1/shops/soaps/{path}", json={"k": 1})
            assert away.status_code == 503
            assert away.headers["retry-after"]
            assert str(tmp_path) not in away.text
        with_key = client.get("/v1/shops/soaps/operations", headers=by_key(SOAP_KEY))
        assert with_key.status_code == 503
        assert str(tmp_path / "settings.json") in with_key.json()["detail"]
        assert client.post("/v1/shops/perfumes/recommend", json={"k": 1}).status_code == 200
        figures = client.get("/metrics").text
        assert 'beauty_rec_ready{shop="soaps"} 0.0' in figures
        assert 'beauty_rec_ready{shop="perfumes"} 1.0' in figures
        assert 'beauty_rec_items{shop="soaps"}' not in figures
    with serving(broken) as client:
        assert client.get("/readyz").status_code == 503


def test_a_shop_that_opens_late_is_had_once_it_has_answered(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Shop("soaps", lambda: settings)
    faults = [ValueError("it cannot answer"), None]
    close, closed = Engine.close, list[Engine]()

    def trial(*_: object) -> None:
        assert not late.is_open
        if (fault := faults.pop(0)) is not None:
            raise fault

    def closing(engine: Engine) -> None:
        closed.append(engine)
        close(engine)

    monkeypatch.setattr(module, "TRY_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(module, "try_out", trial)
    monkeypatch.setattr(Engine, "close", closing)
    late._look()
    assert late.ready == ["nothing is served; the log says why"]
    assert len(closed) == 1
    late._look()
    assert (late.is_open, late.fault, faults, len(closed)) == (True, None, [], 1)
    late._running.close()
    late.close()


def test_metrics_say_which_shop_and_each_series_once(client: TestClient) -> None:
    for name in ("soaps", "perfumes", "soap"):
        client.post(f"/v1/shops/{name}/recommend", json={"user_id": USER, "k": 3})
    client.delete("/v1/shops/soaps/users/u")  # refused
    text = client.get("/metrics").text
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    every = [
        (s.name, tuple(sorted(s.labels.items()))) for family in families for s in family.samples
    ]
    assert len(set(every)) == len(every)
    of = {
        name: {s.labels.get("shop") for f in families for s in f.samples if s.name == name}
        for name in ("beauty_rec_items", "beauty_rec_shown_items_total",
                     "beauty_rec_http_requests_total", "beauty_rec_batch_seconds_count")
    }  # fmt: skip
    both = {"soaps", "perfumes"}
    assert of["beauty_rec_items"] == of["beauty_rec_shown_items_total"] == both
    assert of["beauty_rec_http_requests_total"] == both | {None}
    assert of["beauty_rec_batch_seconds_count"] == {None}  # batches are of all shops
    own = client.get("/v1/shops/soaps/metrics").text.splitlines()
    samples = [line for line in own if not line.startswith("#")]
    assert samples
    assert all('shop="soaps"' in line for line in samples)
    assert set(samples) & set(text.splitlines())


def test_the_python_client_asks_the_shop_that_it_is_of(client: TestClient, other: Engine) -> None:
    def forward(asked: httpx.Request) -> httpx.Response:
        found = client.request(
            asked.method, str(asked.url), content=asked.read(), headers=asked.headers
        )
        return httpx.Response(found.status_code, content=found.content)

    way = httpx.MockTransport(forward)
    with Client("http://127.0.0.1", SOAP_KEY, shop="soaps", transport=way) as soaps:
        assert soaps.version().version == other.shop.manifest.set
        assert soaps.recommend(RecommendRequest(k=2)).version == other.shop.manifest.set
        assert soaps.readyz().status == "ready"
        assert soaps.forget_user("nobody").events == 0
        assert 'shop="soaps"' in soaps.metrics()


def test_a_client_has_one_account_with_all_shops(engine: Engine, other: Engine) -> None:
    shops = (shop("perfumes", engine), shop("soaps", other))
    # So few a second that none comes back on a slow machine.
    with serving(*shops, requests_per_second=0.1) as client:
        asked = [
            client.get(f"/v1/shops/{name}/search?q=soap").status_code
            for _ in range(4)
            for name in ("soaps", "perfumes")
        ]
    assert asked[0] == 200
    assert asked[1:] == [429] * 7


def test_no_two_shops_share_a_database(tmp_path: Path) -> None:
    def settings(name: str) -> Settings:
        dsn = {"dsn": "postgresql://shop@127.0.0.1:1/items"}
        return Settings.model_validate({"data_dir": tmp_path / name, "item_index": dsn})

    reads = each_its_database({name: partial(settings, name) for name in ("one", "two")})
    reads["one"]()
    reads["one"]()
    with pytest.raises(ValueError, match="is that of one"):
        reads["two"]()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"folders": {"Soaps": "a"}}, "no name of a shop"),
        ({"folders": {"a/b": "a"}}, "no name of a shop"),
        ({"folders": {"a": "x", "b": "y/../x"}}, "the same folder"),
        ({"folders": {"a": "x"}, "keys": {"a": "short"}}, "fewer than 16"),
        ({"folders": {"a": "x"}, "keys": {"b": "k" * 20}}, "keys of no shop: b"),
    ],
)
def test_shops_that_make_no_sense_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        Settings.model_validate({"shops": given})
    assert "k" * 20 not in str(refused.value)
