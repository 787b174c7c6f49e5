"""Two clients, one greedy: the largest legal requests of one do not starve the other.

``make test-faults`` runs this: a minute.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest

from beauty_rec.settings import PACKAGED_ENCODER
from beauty_rec_tests.recommender.synthetic_set import Size, load_encoder, publish_synthetic
from beauty_rec_tests.serving.live import LiveServer, People, live_server

pytestmark = pytest.mark.faults
SIZE = Size(items=20_000, events=60_000, users=20_000)
ASKED = 60
NAMES = [f"B{SIZE.seed:02d}{row:07d}" for row in range(1_000)]
LARGEST = {
    "history": [{"parent_asin": name, "rating": 5.0} for name in NAMES],
    "exclude": NAMES, "k": 1_000, "stages": True, "diversity": 0.5,
    "profile": {f"p{n}": 1.0 for n in range(50)},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="beauty-rec-load-"))
    try:
        publish_synthetic(made, SIZE, load_encoder(PACKAGED_ENCODER), encode=False)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def client_at(server: LiveServer, address: str, seconds: float = 20) -> httpx.Client:
    """A client at an address of its own, as the trusted proxy at 127.0.0.1 says."""
    headers = {"x-forwarded-for": address}
    return httpx.Client(base_url=server.url, timeout=seconds, headers=headers)


def p95_of(client: httpx.Client, label: str) -> float:
    """The 95th percentile in seconds of ordinary questions, each another one."""
    took = []
    for number in range(ASKED):
        asked = {"history": NAMES[:10], "context": f"a gentle soap, {label} {number}", "k": 10}
        started = time.perf_counter()
        response = client.post("/v1/recommend", json=asked)
        took.append(time.perf_counter() - started)
        assert response.status_code == 200, response.text
        time.sleep(0.02)
    return float(np.percentile(took, 95))


class Greedy(People):
    """Sends as many requests as are taken, some giving up and coming again at once."""

    def __init__(self, server: LiveServer, body: dict, people: int, patience: float = 20) -> None:
        super().__init__(people)
        self.statuses: list[int] = []
        # Made beforehand: this process also asks for the other one.
        self._bodies = [
            json.dumps({**body, "context": (f"{n} " + "rose soap wedding " * 200)[:2_000]})
            for n in range(50)
        ]
        self._server, self._patience = server, patience

    def ask(self, person: int) -> None:
        turn = person
        headers = {"content-type": "application/json"}
        with client_at(self._server, "192.0.2.66", self._patience) as client:
            while not self.over.is_set():
                turn += 7
                body = self._bodies[turn % len(self._bodies)]
                with suppress(httpx.TransportError):
                    response = client.post("/v1/recommend", content=body, headers=headers)
                    self.statuses.append(response.status_code)
                    if response.status_code != 200:
                        time.sleep(0.1)  # it tries again, ten times a second each


@pytest.mark.parametrize(
    ("body", "people", "patience"),
    [(LARGEST, 8, 20), (LARGEST, 8, 0.3), ({"k": 300}, 16, 20), ({"k": 10}, 16, 20)],
    ids=["the largest", "the largest, hanging up", "just light enough", "many small ones"],
)
def test_a_greedy_client_does_not_starve_another(
    folder: Path, tmp_path: Path, body: dict, people: int, patience: float
) -> None:
    trusted = 'trusted_proxies=["127.0.0.1"]'  # and no limit to the rate
    with (
        live_server(folder, tmp_path / "log", trusted) as server,
        client_at(server, "192.0.2.1") as other,
    ):
        p95_of(other, "warm up")
        alone = p95_of(other, "alone")
        with Greedy(server, body, people, patience) as greedy:
            time.sleep(1)
            beside = p95_of(other, "beside")
        print(
            f"\np95 alone {alone * 1000:.0f} ms, beside {beside * 1000:.0f} ms; greedy: "
            f"{greedy.statuses.count(200)} of {len(greedy.statuses)} answered"
        )
        assert beside < 5 * alone
        assert 500 not in greedy.statuses
