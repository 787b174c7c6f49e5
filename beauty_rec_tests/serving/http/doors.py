"""The app behind the server's own doors, in a thread, and plain sockets to knock with."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import uvicorn
from fastapi.testclient import TestClient

from beauty_rec.serving.http.app import create_app
from beauty_rec.serving.http.connections import bounds
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import ServeSettings
from beauty_rec_tests.recommender.served_set import KEY


def engine_with(engine: Engine, **chosen: object) -> Engine:
    """The same engine with other settings of serve."""
    serve = ServeSettings.model_validate({"api_key": KEY, "requests_per_second": 0, **chosen})
    other = object.__new__(Engine)
    other.__dict__ = {**engine.__dict__}
    other.settings = engine.settings.model_copy(update={"serve": serve})
    return other


def client_of(engine: Engine, **chosen: object) -> TestClient:
    """A client of an app with other settings over the same engine."""
    return TestClient(create_app(engine_with(engine, **chosen)), base_url="http://127.0.0.1")


def problem(response: Any) -> dict[str, Any]:
    """What a refusal says, which has the form of one."""
    assert response.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = response.json()
    assert told["status"] == response.status_code
    assert told["request_id"] == response.headers["x-request-id"]
    return told


@contextmanager
def door(engine: Engine, **chosen: object) -> Iterator[int]:
    """Serve on a free port, which is yielded."""
    other = engine_with(engine, **chosen)
    config = uvicorn.Config(
        create_app(other), port=0, log_config=None, access_log=False, **bounds(other.settings.serve)
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        thread.join()


def connect(port: int, seconds: float = 5) -> "closing[socket.socket]":
    """A connection whose reads give up after a while."""
    return closing(socket.create_connection(("127.0.0.1", port), timeout=seconds))


def answer_to(port: int, *parts: bytes, seconds: float = 5) -> bytes:
    """What comes back for these bytes until the other side closes, b"" where it hangs up."""
    with connect(port, seconds) as knocking:
        try:
            for part in parts:
                knocking.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return rest_of(knocking)


def rest_of(knocking: socket.socket) -> bytes:
    """Everything until the other side closes."""
    found = b""
    try:
        while part := knocking.recv(65_536):
            found += part
    except ConnectionResetError:
        pass
    return found
