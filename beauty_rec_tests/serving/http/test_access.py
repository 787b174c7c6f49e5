"""Nobody in without the key: every route, by every odd path, method and key."""

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

import pytest
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from beauty_rec.serving.http.access import OPEN, READS
from beauty_rec.serving.http.app import create_app
from beauty_rec.serving.state.engine import Engine
from beauty_rec_tests.recommender.served_set import KEY
from beauty_rec_tests.serving.http.doors import client_of, engine_with

LOOP = asyncio.new_event_loop()
"""Of all requests: a loop for each would take longer than its answer."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE", "post")
WRITES = ("POST", "post", "PATCH", "DELETE")
BODIES = {
    "/v1/items": b'{"items":[{"parent_asin":"ODD","title":"A soap from nowhere"}]}',
    "/v1/events": b'{"user_id":"odd","parent_asin":"B130000003"}',
}
CHANGES = {
    "/v1/items/B130000003": b'{"hidden":true}',
    "/v1/users/odd": b"",
    "/v1/users/odd/events": b"",
}
KEYS: dict[str, dict[bytes, bytes]] = {
    "none": {},
    "empty": {b"x-api-key": b"", b"authorization": b"Bearer "},
    "wrong": {b"x-api-key": b"wrong"},
    "longer": {b"authorization": b"Bearer " + KEY.encode() + b"x"},
    "scheme": {b"authorization": b"Basic " + KEY.encode()},
}


def forms(path: str) -> Iterator[str]:
    """A path in every odd form, as it is written in a request line."""
    plain = quote(path)
    yield from (plain, plain + "/", plain + "//", "/" + plain, plain.replace("/v1", "/v1/", 1))
    for ending in ("%0A", "%0D%0A", "%0D", "%00", "%20", "%09", "%85", "%E2%80%A8", "%2F", ";x",
                   ";x=1", "?x", "%3Fx", "%23x", ".", "..", "/.", "/..", "/./", "%2E", ".json",
                   "%0A%0A", "%252F", "*", "\\", "%5C"):  # fmt: skip
        yield plain + ending
    yield from (plain.upper(), plain.replace("/", "%2F"), plain.replace("/", "%2f", 1))
    yield plain.replace("/", "/./", 1)
    yield "/assets/.." + plain
    yield "/assets/%2E%2E" + plain
    yield "/healthz/.." + plain
    yield "/x/.." + plain
    if len(path) > 1:
        yield "/" + "".join(f"%{ord(c):02X}" for c in path[1:])
        yield plain[:-1] + f"%{ord(path[-1]):02x}"
        yield "/%0A" + plain[1:]
    yield "http://127.0.0.1" + plain


def ask(app: ASGIApp, method: str, target: str, sent: dict[bytes, bytes], body: bytes) -> int:
    """The status of one request that no client has tidied up."""
    path, _, query = target.partition("?")
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": method, "path": unquote(path), "raw_path": path.encode(), "root_path": "",
        "query_string": query.encode(), "scheme": "http", "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80), "state": {},
        "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), *sent.items()],
    }  # fmt: skip
    statuses: list[int] = []
    given = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if given:
            return given.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    LOOP.run_until_complete(app(scope, receive, send))
    assert not asyncio.all_tasks(LOOP)
    return statuses[0]


@pytest.fixture
def written(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the changes that went through."""
    made: list[str] = []

    def changed(name: str) -> Any:
        def change(*_: object, **__: object) -> Any:
            made.append(name)
            return ("a set", []) if name == "add_events" else "a set"

        return change

    for name in ("add_items", "add_events", "set_state", "forget", "drop_events"):
        monkeypatch.setattr(engine, name, changed(name), raising=False)
    return made


def paths(engine: Engine) -> list[str]:
    routes = create_app(engine).routes
    of_one = READS - {"shops"}  # which lists several
    assert {getattr(route, "name", "") for route in routes} == OPEN | of_one | {
        "put_items",
        "experiment",
        "put_event",
        "change_item",
        "withdraw_item",
        "forget_user",
        "drop_events",
        "operations",
    }
    found = [getattr(route, "path", "") for route in routes]
    return [p.replace("{parent_asin:path}", "B1").replace("{user_id:path}", "U1") for p in found]


@pytest.mark.parametrize(("prefix", "first"), [("", 0), ("/shop", 3)])
def test_no_odd_path_writes_without_the_key(
    engine: Engine, written: list[str], prefix: str, first: int
) -> None:
    """Of the six apps each tries a wrong key with another method: together they try all."""
    asked = 0
    chosen: list[dict[str, Any]] = [{}, {"api_key": None}, {"host": "0.0.0.0"}]
    for turn, settings in enumerate(chosen, first):
        inner = create_app(engine_with(engine, **settings))
        app: ASGIApp = Starlette(routes=[Mount(prefix, inner)]) if prefix else inner
        keys = {**KEYS, "off": {b"x-api-key": KEY.encode()}} if "api_key" in settings else KEYS
        for path, body in {**BODIES, **CHANGES}.items():
            for target in forms(path):
                for number, (name, sent) in enumerate(keys.items(), turn):
                    one = WRITES[number % 4 :][:1]
                    for method in {"none": METHODS, "off": WRITES}.get(name, one):
                        status = ask(app, method, prefix + target, sent, body)
                        assert written == [], (method, target, settings, sent)
                        assert 300 <= status < 500 or status == 200, (method, target, status)
                        asked += 1
    assert asked > 3_000


def test_elsewhere_no_odd_path_reads_without_the_key(engine: Engine) -> None:
    app = create_app(engine_with(engine, host="0.0.0.0"))
    for path in paths(engine):
        if path not in ("/", "/assets", "/healthz", "/readyz", "/openapi.json"):
            for target in forms(path):
                for sent in KEYS.values():
                    status = ask(app, "GET", target, sent, b"")
                    assert status == 401 or (status == 404 and "/assets" in target), target


@pytest.mark.parametrize("path", BODIES)
def test_the_key_opens_by_either_header(engine: Engine, written: list[str], path: str) -> None:
    app = create_app(engine_with(engine))
    for sent in ({b"x-api-key": KEY.encode()}, {b"authorization": b"bearer " + KEY.encode()}):
        assert ask(app, "POST", path, sent, BODIES[path]) == 200
    assert len(written) == 2


def test_metrics_take_a_bearer_token(engine: Engine) -> None:
    with client_of(engine, host="0.0.0.0") as client:
        assert client.get("/metrics").headers["www-authenticate"] == "Bearer"
        bearer = {"Authorization": f"Bearer {KEY}"}
        assert client.get("/metrics", headers=bearer).status_code == 200
        assert client.get("/metrics", headers={"Authorization": "Bearer no"}).status_code == 401


def test_head_is_get_without_a_body(engine: Engine) -> None:
    with client_of(engine) as client:
        for path in ("/healthz", "/readyz", "/", "/metrics", "/version", "/assets/app.js",
                     "/openapi.json", "/v1/search?q=soap", "/v1/items/B130000003"):  # fmt: skip
            head, got = client.head(path), client.get(path)
            assert (head.status_code, head.content) == (got.status_code, b""), path
            assert head.headers["content-type"] == got.headers["content-type"]
            assert int(head.headers["content-length"]) > 0
        assert client.head("/v1/items/none").status_code == 404
        refused = client.head("/v1/recommend")
        assert refused.status_code == 405
        assert refused.headers["allow"] == "POST"


def test_a_range_is_not_read(engine: Engine) -> None:
    """One that is not understood was an error, and no problem document."""
    with client_of(engine) as client:
        for path in ("/", "/assets/app.js"):
            whole = client.get(path)
            for asked in ("items=0-5", "bytes=a-b", "bytes=99999999-", "bytes=0-5"):
                found = client.get(path, headers={"Range": asked})
                assert (found.status_code, found.content) == (200, whole.content), asked
                assert "accept-ranges" not in found.headers


def test_a_websocket_is_refused(engine: Engine) -> None:
    from starlette.websockets import WebSocketDisconnect

    with client_of(engine) as client:
        for path in ("/", "/v1/items", "/v1/search"):
            with pytest.raises(WebSocketDisconnect), client.websocket_connect(path):
                pass


def test_the_client_is_whom_a_trusted_proxy_names(engine: Engine) -> None:
    def ask_as(client: TestClient, *names: str) -> list[int]:
        return [
            client.get("/version", headers={"x-forwarded-for": name}).status_code for name in names
        ]

    peer = {"client": ("127.0.0.1", 1)}
    names = [f"192.0.2.{number}" for number in range(9)]
    for trusted, last in (((), 429), (("10.0.0.0/8",), 429), (("127.0.0.1",), 200)):
        app = create_app(engine_with(engine, requests_per_second=2, trusted_proxies=trusted))
        with TestClient(app, base_url="http://127.0.0.1", **peer) as client:  # type: ignore[arg-type]
            assert ask_as(client, *names)[-1] == last, trusted
            # What a client says itself stands left of what the proxy says of it.
            spoofed = [f"198.51.100.{n}, 192.0.2.77" for n in range(9)]
            assert ask_as(client, *spoofed)[-1] == 429
