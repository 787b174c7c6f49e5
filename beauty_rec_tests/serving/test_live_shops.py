"""`beauty-rec serve --shop` with two shops: one breaks, the other goes on, and it comes back.

``make test-live`` runs it: half a minute.
"""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec_tests.recommender.synthetic_set import Size, publish_synthetic
from beauty_rec_tests.serving.live import live_server
from beauty_rec_tests.serving.test_live import postmaster

pytestmark = pytest.mark.live


@pytest.fixture
def folders() -> Iterator[dict[str, Path]]:
    # Not tmp_path: a second pytest would close its parents to the user that root's server runs as.
    made = Path(tempfile.mkdtemp(prefix="beauty-rec-live-"))
    yield {"perfumes": made / "perfumes", "soaps": made / "soaps"}
    shutil.rmtree(made, ignore_errors=True)


def test_two_shops_in_one_server(
    folders: dict[str, Path], encoder: TextEncoder, tmp_path: Path
) -> None:
    publish_synthetic(folders["perfumes"], Size(seed=41), encoder, encode=True)
    with live_server(folders, tmp_path / "log") as server:  # ready with one of the two
        ask = server.client
        assert ask.get("/readyz").json()["status"] == "partly ready"
        assert ask.post("/v1/shops/soaps/recommend", json={}).status_code == 503
        assert len(ask.post("/v1/shops/perfumes/recommend", json={"k": 5}).json()["items"]) == 5

        publish_synthetic(folders["soaps"], Size(items=80, seed=42), encoder, encode=True)
        server.wait("/v1/shops/soaps/readyz", 200)
        given = {"items": [{"parent_asin": "TODAYS1", "title": "A soap of today"}]}
        assert ask.post("/v1/shops/soaps/items", json=given).status_code == 200
        assert ask.get("/readyz").json()["status"] == "ready"

        # Each has a database and a set of its own.
        os.kill(postmaster(folders["soaps"]), signal.SIGKILL)
        server.wait("/v1/shops/soaps/readyz", 503, 20)
        assert ask.get("/v1/shops/perfumes/readyz").status_code == 200
        assert ask.get("/readyz").status_code == 200
        event = {"user_id": "u", "parent_asin": "B410000001"}
        assert ask.post("/v1/shops/perfumes/events", json=event).status_code == 200
        server.wait("/v1/shops/soaps/readyz", 200)
        assert ask.get("/v1/shops/soaps/items/TODAYS1").status_code == 200
        assert ask.get("/v1/shops/perfumes/items/TODAYS1").status_code == 404

        before = ask.get("/v1/shops/perfumes/version").json()["version"]
        made = publish_synthetic(folders["soaps"], Size(items=80, seed=43), encoder, encode=True)
        metric = f'beauty_rec_served_set{{set="{made.set}",shop="soaps"}} 1.0'
        for _ in range(300):
            if metric in (figures := ask.get("/metrics").text):
                break
            time.sleep(0.1)
        assert metric in figures
        assert ask.get("/v1/shops/perfumes/version").json()["version"] == before
