"""What comes in by the API: ids that can be fetched, titles without escapes, times that are."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from beauty_rec.cli import app as cli
from beauty_rec.cli.terminal import printable
from beauty_rec.serving.http.app import create_app
from beauty_rec.serving.state.engine import Engine
from beauty_rec_tests.recommender.served_set import KEY, USER
from beauty_rec_tests.serving.http.doors import door

KEYED = {"X-API-Key": KEY}
KNOWN = "B130000003"
ESCAPES = "\x1b[31mRed\x1b[0m \x9b2J\x07soap\r\n\x7f \u202etar"


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    # Of the engine itself: what is added is known to all who use it.
    with TestClient(create_app(engine), base_url="http://127.0.0.1") as client:
        yield client


def add(client: TestClient, **item: object) -> int:
    given = {"parent_asin": "X", "title": "Rose soap bar", **item}
    return client.post("/v1/items", json={"items": [given]}, headers=KEYED).status_code


def test_ids_of_every_form_are_fetched_and_known(engine: Engine, client: TestClient) -> None:
    ids = ["SKU/12", "50%", "a?b=c", "#1", "a b", "a//b", "/a", "a/", "%2F", "a/similar",
           "similar", "a;b", "ä é 香", "a+b", "a\\b", "~!@$&'()*,=:[]", "..a", "a..b", "...",
           "%00"]  # fmt: skip
    items = [{"parent_asin": name, "title": f"Rose soap {n}"} for n, name in enumerate(ids)]
    assert client.post("/v1/items", json={"items": items}, headers=KEYED).status_code == 200
    with door(engine) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as fetching:
        for number, name in enumerate(ids):
            path = f"/v1/items/{quote(name, safe='')}"
            got = fetching.get(path)
            assert got.status_code == 200, (name, got.text)
            assert (got.json()["parent_asin"], got.json()["title"]) == (name, f"Rose soap {number}")
            near = fetching.get(f"{path}/similar", params={"k": 2})
            assert near.status_code == 200, name
            assert name not in [hit["parent_asin"] for hit in near.json()["items"]]
    event = {"user_id": "a/user #1 50%?", "parent_asin": "SKU/12"}
    assert client.post("/v1/events", json=event, headers=KEYED).status_code == 200
    answer = client.post("/v1/recommend", json={"user_id": event["user_id"]}).json()
    assert answer["notes"] == []


@pytest.mark.parametrize(
    "name",
    [".", "..", "a/../b", "./a", "a/.", "\x1b[2J", "a\x9bb", "a\nb", "a\u2028b", "a\u202eb", " ",
     "a\x00", "x" * 201],
)  # fmt: skip
def test_ids_that_no_url_or_terminal_takes_are_refused_everywhere(
    client: TestClient, name: str
) -> None:
    item: dict[str, object] = {"items": [{"parent_asin": name, "title": "Rose soap bar"}]}
    bodies: dict[str, list[dict[str, object]]] = {
        "/v1/items": [item],
        "/v1/events": [
            {"user_id": name, "parent_asin": KNOWN},
            {"user_id": "u", "parent_asin": name},
        ],
        "/v1/recommend": [{"user_id": name}, {"history": [name]}, {"exclude": [name]}],
    }
    for path, some in bodies.items():
        for body in some:
            response = client.post(path, json=body, headers=KEYED)
            assert response.status_code == 422, (path, body)
            assert response.json()["detail"]


def test_titles_are_read_as_those_of_a_file(client: TestClient, data: Path) -> None:
    assert add(client, parent_asin="ESC", title=ESCAPES, store=ESCAPES, features=[ESCAPES]) == 200
    for answer in (
        client.get("/v1/items/ESC").text,
        client.get("/v1/search", params={"q": "Red soap", "k": 300}).text,
        client.post("/v1/recommend", json={"history": ["ESC"], "k": 20}).text,
    ):
        assert printable(answer) == answer
        assert "\\u001b" not in answer
    assert client.get("/v1/items/ESC").json()["title"] == "[31mRed [0m 2J soap tar"
    for title in ("\x1b", " \x07 ", "<b></b>", "\u200b"):  # nothing is left to show
        assert add(client, title=title) == 422
    assert add(client, details={"a\x1bb": "c"}) == 422
    shown = CliRunner().invoke(cli, ["search", "Red soap", "-k", "300", "--data-dir", str(data)])
    assert shown.exit_code == 0, shown.output
    assert printable(shown.stdout) == shown.stdout


def test_what_is_printed_moves_no_cursor() -> None:
    assert printable("a\tb\nc é 香 🧴") == "a\tb\nc é 香 🧴"
    assert printable(ESCAPES).replace("\n", "").isprintable()
    held = {"title": ESCAPES}
    printed = printable(json.dumps(held, ensure_ascii=False, indent=1))
    assert json.loads(printed) == held
    assert "\x9b" not in printed


def test_times_are_milliseconds_and_not_to_come(client: TestClient) -> None:
    now = int(time.time())
    wrong = {
        now: "in seconds", now * 1_000_000: "in microseconds", now * 10**9: "in nanoseconds",
        4_102_444_800_000: "in the future", now * 1_000 + 90_000_000: "in the future",
        -1: "negative", 0: "in seconds", 10**30: "in the future",
    }  # fmt: skip
    event = {"user_id": "timely", "parent_asin": KNOWN}
    past = {"parent_asin": KNOWN, "rating": 5.0}
    for value, reason in wrong.items():
        for path, body in (
            ("/v1/recommend", {"user_id": USER, "at": value}),
            ("/v1/recommend", {"history": [{**past, "timestamp": value}]}),
            ("/v1/events", {**event, "timestamp": value}),
        ):
            response = client.post(path, json=body, headers=KEYED)
            assert response.status_code == 422, (path, value)
            assert reason in response.json()["detail"]
    for value in (now * 1_000, now * 1_000 + 3_600_000, 100_000_000_000):
        asked = client.post("/v1/recommend", json={"user_id": USER, "at": value})
        assert asked.status_code == 200
        sent = client.post("/v1/events", json={**event, "timestamp": value}, headers=KEYED)
        assert sent.status_code == 200
