"""Limits that hold, tried over plain sockets against the server's own doors."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from beauty_rec.serving.http import connections
from beauty_rec.serving.state.engine import Engine
from beauty_rec_tests.serving.http.doors import answer_to, connect, door, rest_of

HEAD = b"GET /v1/search?q=soap HTTP/1.1\r\nHost: 127.0.0.1\r\n"
POST = b"POST /v1/recommend HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
HEAD_S, BODY_S = 0.5, 0.6


@pytest.fixture(scope="module")
def port(engine: Engine) -> Iterator[int]:
    with door(
        engine,
        head_timeout_s=HEAD_S,
        request_timeout_s=BODY_S,
        max_connections=60,
        max_connections_per_client=50,
    ) as port:
        yield port


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def test_an_ordinary_request_is_answered_and_the_next_one_too(port: int) -> None:
    with connect(port) as knocking:
        for _ in range(3):
            knocking.sendall(HEAD + b"\r\n")
            assert knocking.recv(65_536).startswith(b"HTTP/1.1 200")
            time.sleep(HEAD_S / 2)


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        (b"/healthz", b"LocalHost.:80", 200),
        (b"/healthz", b"[::1]:80", 200),
        (b"/healthz", b"[::1].elsewhere.example", 421),
        (b"/healthz", b"elsewhere.example", 421),
        (b"http://127.0.0.1/healthz", b"elsewhere.example", 200),  # as a proxy may send it
        (b"HTTP://LOCALHOST:80/v1/items/no%2Fsuch?x", b"x", 404),
        (b"http://127.0.0.1", b"x", 200),
        (b"http://elsewhere.example/healthz", b"127.0.0.1", 421),
        (b"http://localhost@elsewhere.example/healthz", b"127.0.0.1", 421),
        (b"https://127.0.0.1%2Fhealthz", b"127.0.0.1", 421),
    ],
)
def test_a_request_is_for_the_host_that_it_names(
    port: int, target: bytes, host: bytes, status: int
) -> None:
    head = b"GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (target, host)
    assert status_of(answer_to(port, head)) == status


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (HEAD, b"x-%d: " + b"a" * 1_000 + b"\r\n"),
        (HEAD + b"x-long: ", b"a" * 1_000),
        (HEAD, b"x%d: 1\r\n"),
        (b"GET /v1/search?q=", b"a" * 1_000),
        (b"", b"A" * 1_000),
        (b"", b"\r\n" * 500),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 1_000),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"x-trailer: 1\r\n"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a" * 1_000),
    ],
    ids=["headers", "one header", "many headers", "request line", "method", "blank lines",
         "chunk size", "trailers", "chunk extension"],
)  # fmt: skip
def test_forty_megabytes_of_head_are_cut_off_early(port: int, start: bytes, piece: bytes) -> None:
    memory = psutil.Process().memory_info
    before, taken = memory().rss, 0
    with connect(port) as knocking:
        knocking.sendall(start)
        try:
            while taken < 40_000_000:
                part = b"".join(piece.replace(b"%d", b"%d" % n) for n in range(64))
                knocking.sendall(part)
                taken += len(part)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = rest_of(knocking)
    assert status_of(answer) in (0, 400, 431, 408, 504), answer[:200]
    assert taken < 20_000_000  # what lies in the buffers of two sockets
    assert memory().rss - before < 30_000_000


def test_a_head_that_comes_in_one_piece_is_held_to_the_limit_too(port: int) -> None:
    for size, status in ((15_000, 200), (17_000, 431), (60_000, 431), (200_000, 431)):
        fields = b"".join(b"x-%d: %s\r\n" % (n, b"a" * 90) for n in range(size // 100))
        answer = answer_to(port, HEAD + fields + b"Connection: close\r\n\r\n")
        assert status_of(answer) == status, size
    long = b"GET /v1/search?q=" + b"a" * 17_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    assert status_of(answer_to(port, long)) == 431


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"G",
        HEAD,
        HEAD + b"\r\n" + HEAD,  # after an answer
        POST + b"Content-Length: 100\r\n\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"POST /v1/items HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{",  # refused
    ],
    ids=["silent", "a byte", "half a head", "half a second head", "half a body", "half a chunk",
         "half a refused body"],
)  # fmt: skip
def test_half_sent_requests_are_closed(port: int, sent: bytes) -> None:
    started = time.monotonic()
    with connect(port, 8) as knocking:
        knocking.sendall(sent)
        if b"/v1/items" in sent:  # what comes after a refusal opens no new span of time
            for _ in range(20):
                time.sleep(0.1)
                try:
                    knocking.sendall(b" ")
                except OSError:
                    break
        answer = rest_of(knocking)
    assert time.monotonic() - started < 4
    assert answer == b"" or status_of(answer) in (200, 403, 401, 408)


def test_a_request_with_two_ends_is_refused_and_nothing_behind_it_is_read(port: int) -> None:
    both = POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    answer = answer_to(port, both + HEAD + b"\r\n")
    assert status_of(answer) == 400
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_dripping_head_has_one_deadline(port: int) -> None:
    started = time.monotonic()
    with connect(port) as knocking:
        try:
            for byte in HEAD * 9:
                knocking.sendall(bytes([byte]))
                time.sleep(0.02)
        except OSError:
            pass
    assert time.monotonic() - started < 3 * HEAD_S


def test_an_answer_that_nobody_takes_is_given_up(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SLACK_S", 0.5)
    with door(engine, request_timeout_s=0.5, head_timeout_s=0.2) as port, connect(port) as knocking:
        knocking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        knocking.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 400)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):  # most was not taken
            send_for_ten_seconds(knocking)


def send_for_ten_seconds(knocking: socket.socket) -> None:
    for _ in range(40):
        time.sleep(0.25)
        knocking.sendall(b"\r\n")


def test_one_client_opens_so_many_connections_and_they_all_end(port: int) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(port)) for _ in range(50)]
        assert status_of(answer_to(port, HEAD + b"\r\n")) in (0, 503)
        started = time.monotonic()
        for knocking in silent:
            assert status_of(rest_of(knocking)) in (0, 408)
        assert time.monotonic() - started < 5
    assert status_of(answer_to(port, HEAD + b"Connection: close\r\n\r\n")) == 200


def test_an_upgrade_passes_the_same_doors(engine: Engine) -> None:
    upgrade = (
        b"GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with door(engine, requests_per_second=2) as port:

        def status(path: bytes, host: bytes) -> int:
            with connect(port) as knocking:
                knocking.sendall(upgrade % (path, host))
                return status_of(knocking.recv(65_536))

        assert status(b"/v1/search?q=x", b"evil.example") == 421
        assert status(b"/none", b"127.0.0.1") == 404
        assert 429 in [status(b"/version", b"127.0.0.1") for _ in range(8)]


def test_the_total_of_connections_is_capped(engine: Engine) -> None:
    capped = {"max_connections": 5, "trusted_proxies": ("127.0.0.1",), "head_timeout_s": 0.5}
    with (
        door(engine, max_connections_per_client=1, **capped) as port,
        ExitStack() as stack,
    ):
        for _ in range(5):  # a proxy's connections are many clients'
            stack.enter_context(connect(port)).sendall(HEAD)
        time.sleep(0.1)
        assert status_of(answer_to(port, HEAD + b"\r\n")) in (0, 503)
