"""The text index on a Chroma server: versions side by side, and the one that is served."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import chromadb
import httpx
import numpy as np
import pytest

from beauty_rec.artifacts import Vectors
from beauty_rec.search.chroma.build import build_index
from beauty_rec.search.chroma.index import open_current
from beauty_rec.search.exact import ExactIndex
from beauty_rec.settings import TextIndexSettings


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Chroma server of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("chroma-server")
    command = "import sys; from chromadb.cli.cli import app; sys.argv[0] = 'chroma'; app()"
    options = ["run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(
        [sys.executable, "-c", command, *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/api/v2/heartbeat").is_success:
                break
        except httpx.TransportError:
            time.sleep(0.2)
    yield address
    server.terminate()
    server.wait(timeout=20)


def vectors(count: int, seed: int) -> Vectors:
    matrix = np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return Vectors([f"item {row}" for row in range(count)], matrix)


def test_versions_follow_one_another_on_a_server(url: str, tmp_path: Path) -> None:
    settings = TextIndexSettings(url=url)
    for number in (1, 2, 3):
        built = build_index(tmp_path, vectors(100 + number, number), f"v{number}", settings)
        assert built.rows == 100 + number
        assert built.recall_vs_exact == 1.0
    latest = vectors(103, 3)
    with open_current(tmp_path, url) as index:
        found = index.search(latest.matrix[:5], 7)
    assert found.ids == ExactIndex(latest).search(latest.matrix[:5], 7).ids
    client = chromadb.HttpClient("127.0.0.1", int(url.rsplit(":", 1)[1]))
    assert {c.name for c in client.list_collections()} == {"items-v2", "items-v3"}


def test_a_half_written_version_is_written_anew(url: str, tmp_path: Path) -> None:
    client = chromadb.HttpClient("127.0.0.1", int(url.rsplit(":", 1)[1]))
    client.create_collection("items-half", embedding_function=None)
    built = build_index(tmp_path, vectors(50, 9), "half", TextIndexSettings(url=url))
    assert built.rows == 50
