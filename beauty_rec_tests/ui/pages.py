"""A `dagster dev` of a finished data folder, and a browser that looks at its pages."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

CHROMIUM = "/usr/bin/chromium"
ROOT = Path(__file__).parent.parent.parent
PATIENCE_S = 180


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def dagster_dev(data_dir: Path, log: Path) -> Iterator[str]:
    """Yield the address of Dagster's UI on the records of a data folder."""
    port = free_port()
    # A process group of its own: `dagster dev` has children that must end with it.
    server = subprocess.Popen(
        [sys.executable, "-m", "dagster", "dev", "-w", ROOT / "workspace.yaml", "-p", str(port)],
        cwd=ROOT,
        env={**os.environ, "DAGSTER_HOME": str(data_dir / "dagster"), "PYTHONPATH": str(ROOT)},
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, log)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(timeout=40)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def query(address: str, text: str, **variables: object) -> dict:
    """Return the answer of the UI's own GraphQL API."""
    sent = {"query": text, "variables": variables}
    answer = httpx.post(f"{address}/graphql", json=sent, timeout=60).raise_for_status().json()
    assert not answer.get("errors"), answer["errors"]
    return answer["data"]


def _wait_for(address: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if query(address, "{ workspaceOrError { __typename ... on Workspace "
                     "{ locationEntries { loadStatus } } } }")["workspaceOrError"].get(
                "locationEntries"
            ):  # fmt: skip
                return
        except (httpx.TransportError, httpx.HTTPStatusError):
            pass
        time.sleep(1)
    raise TimeoutError(f"Dagster's UI did not come up: {log.read_text()[-2000:]}")
