"""A running server through switches of its set, and through kills of what it stands on.

``make test-live`` runs these: a minute and a half.
"""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.serving.state.database import STORE, Store
from beauty_rec_tests.recommender.synthetic_set import Size, publish_synthetic
from beauty_rec_tests.serving.live import Crowd, LiveServer, live_server

pytestmark = pytest.mark.live
SWITCHES = 10
NEW = {"parent_asin": "KEPT1", "title": "A soap that outlives its server"}


@pytest.fixture(scope="module")
def folder(encoder: TextEncoder) -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="beauty-rec-live-"))
    try:
        publish_synthetic(made, Size(seed=20), encoder, encode=True)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def postmaster(folder: Path) -> int:
    path = folder / "store" / "cluster" / "postmaster.pid"
    return int(path.read_text().split("\n")[0])


def add_item(server: LiveServer) -> None:
    assert server.client.post("/v1/items", json={"items": [NEW]}).status_code == 200


def test_ten_switches_lose_no_request_and_mix_no_sets(
    folder: Path, encoder: TextEncoder, tmp_path: Path
) -> None:
    with live_server(folder, tmp_path / "log") as server:
        add_item(server)
        of_set = {server.client.get("/version").json()["version"]: 20}
        with Crowd(server.url) as crowd:
            for number in range(SWITCHES):
                seed = 21 + number % 2 + number  # another catalogue each time
                manifest = publish_synthetic(folder, Size(seed=seed), encoder, encode=True)
                of_set[manifest.set] = seed
                deadline = time.monotonic() + 60
                while server.client.get("/version").json()["version"] != manifest.set:
                    assert time.monotonic() < deadline, "the new set is not served"
                    time.sleep(0.05)
        assert server.client.get("/v1/items/KEPT1").status_code == 200
        switches = server.client.get("/metrics").text
    assert f"beauty_rec_set_switches {SWITCHES}.0" in switches
    assert crowd.errors == []
    assert {response.status_code for response in crowd.answers} == {200}
    seen = set()
    for response in crowd.answers:
        answer = response.json()
        seen.add(answer["version"])
        for item in answer["items"]:  # a title tells the set that it comes from
            if item["parent_asin"] != "KEPT1":
                assert item["title"].endswith(f"set {of_set[answer['version']]}")
    assert len(seen) >= SWITCHES


def test_a_killed_database_comes_back(folder: Path, tmp_path: Path) -> None:
    with live_server(folder, tmp_path / "log") as server:
        add_item(server)
        with Crowd(server.url) as crowd:
            os.kill(postmaster(folder), signal.SIGKILL)
            server.wait("/readyz", 503, 20)
            server.wait("/readyz", 200)
            event = {"user_id": "u", "parent_asin": "KEPT1"}
            assert server.client.post("/v1/events", json=event).status_code == 200
        assert server.client.get("/v1/items/KEPT1").status_code == 200
    assert crowd.errors == []
    assert {response.status_code for response in crowd.answers} == {200}


def test_a_database_that_hangs_leaves_answers_to_go_on(folder: Path, tmp_path: Path) -> None:
    event = {"user_id": "u", "parent_asin": "KEPT1"}
    with live_server(folder, tmp_path / "log") as server:
        add_item(server)
        database = psutil.Process(postmaster(folder))
        stopped = [database, *database.children()]
        with Crowd(server.url) as crowd:
            try:
                for process in stopped:
                    process.suspend()
                server.wait("/readyz", 503, 10)
                for _ in range(20):  # more than there are threads
                    begun = time.monotonic()
                    assert server.client.post("/v1/events", json=event).status_code == 503
                    assert time.monotonic() - begun < 2
                assert server.client.get("/v1/facets").status_code == 200
            finally:
                for process in stopped:
                    process.resume()
            server.wait("/readyz", 200)
            assert server.client.post("/v1/events", json=event).status_code == 200
    assert crowd.errors == []
    assert {response.status_code for response in crowd.answers} == {200}


def test_impressions_outlive_a_killed_server_but_for_the_last_second(
    folder: Path, tmp_path: Path
) -> None:
    with live_server(folder, tmp_path / "log") as server:
        with Crowd(server.url) as crowd:
            time.sleep(4)
            killed_ms = time.time() * 1000
            server.kill()
        names = [answer.json()["recommendation_id"] for answer in crowd.answers]
    store = Store(folder / STORE, None)
    store.open()
    kept = {name for (name,) in store.read("SELECT recommendation_id FROM serving_impressions")}
    store.close()
    # An id begins with the milliseconds of its answer.
    older = [name for name in names if int(name[:12], 16) < killed_ms - 1000]
    assert len(older) > 20
    assert set(older) <= kept


def test_a_killed_server_comes_back_with_what_it_was_told(folder: Path, tmp_path: Path) -> None:
    with live_server(folder, tmp_path / "log") as server:
        add_item(server)
        event = {"user_id": "a survivor", "parent_asin": "KEPT1"}
        assert server.client.post("/v1/events", json=event).status_code == 200
        with Crowd(server.url) as crowd:
            time.sleep(0.5)
            server.kill()
        assert {response.status_code for response in crowd.answers} == {200}
    with live_server(folder, tmp_path / "log") as server:
        assert server.client.get("/v1/items/KEPT1").json()["title"] == NEW["title"]
        told = {"user_id": "a survivor", "k": 3}
        answer = server.client.post("/v1/recommend", json=told).json()
        assert answer["notes"] == []
        assert "KEPT1" not in [item["parent_asin"] for item in answer["items"]]
