"""How `beauty-rec serve` ends: with a signal, or because its port is taken."""

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.serving.state.database import STORE
from beauty_rec.settings import child_environment
from beauty_rec_tests.recommender.synthetic_set import Size, publish_synthetic
from beauty_rec_tests.serving.live import PATIENCE_S, Crowd, LiveServer, free_port


@pytest.fixture(scope="module")
def folder(encoder: TextEncoder) -> Iterator[Path]:
    """A data folder that no other test has a database in."""
    made = Path(tempfile.mkdtemp(prefix="beauty-rec-ending-"))
    publish_synthetic(made, Size(seed=20), encoder, encode=False)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def postmaster(folder: Path) -> psutil.Process:
    path = folder / STORE / "cluster" / "postmaster.pid"
    return psutil.Process(int(path.read_text().split("\n")[0]))


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, marks=pytest.mark.faults),
        pytest.param(signal.SIGHUP, marks=pytest.mark.faults),
        pytest.param(signal.SIGQUIT, marks=pytest.mark.faults),
    ],
)
def test_a_signal_ends_the_server_and_its_database(
    folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    server = LiveServer(folder, free_port(), tmp_path / "log")
    try:
        server.wait("/readyz", 200)
        database = postmaster(folder)
        server.process.send_signal(number)
        assert server.process.wait(20) == 128 + number
        assert not database.is_running() or database.status() == psutil.STATUS_ZOMBIE
        assert "Traceback" not in (tmp_path / "log").read_text()
    finally:
        server.close()


@pytest.mark.faults
def test_a_signal_under_load_loses_no_request(folder: Path, tmp_path: Path) -> None:
    server = LiveServer(folder, free_port(), tmp_path / "log")
    try:
        server.wait("/readyz", 200)
        with Crowd(server.url, people=8) as crowd:
            time.sleep(2)
            server.process.terminate()
            assert server.process.wait(20) == 143
            time.sleep(0.2)
    finally:
        server.close()
    assert len(crowd.answers) > 20
    assert {response.status_code for response in crowd.answers} == {200}
    # Who came after the end was not let in; nobody was let in and left without an answer.
    assert {error.split("(")[0] for error in crowd.errors} == {"ConnectError"}


@pytest.mark.slow
def test_of_two_servers_that_start_at_once_one_has_the_port(folder: Path, tmp_path: Path) -> None:
    port = free_port()
    servers = [LiveServer(folder, port, tmp_path / f"log{number}") for number in range(2)]
    try:
        deadline = time.monotonic() + 2 * PATIENCE_S
        while all(server.process.poll() is None for server in servers):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        ended = next(n for n, server in enumerate(servers) if server.process.poll() is not None)
        assert servers[ended].process.returncode == 2
        said = (tmp_path / f"log{ended}").read_text()
        assert f"cannot serve at 127.0.0.1:{port}: Address already in use" in said
        assert '"serving"' not in said
        other = servers[1 - ended]
        other.wait("/readyz", 200)
        other.process.terminate()
        assert other.process.wait(20) == 128 + signal.SIGTERM
    finally:
        for server in servers:
            server.close()


def test_a_port_that_is_taken_is_one_line_at_once(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*(sys.executable, "-m", "beauty_rec.cli", "serve", "--data-dir", str(folder)),
             *("--port", port)],
            capture_output=True, text=True, check=False, env=child_environment(),
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        f"beauty-rec: cannot serve at 127.0.0.1:{port}: Address already in use\n"
    )
