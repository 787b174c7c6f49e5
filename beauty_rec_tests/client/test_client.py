"""The Python client is in step with the app, and asks a running server."""

import asyncio
import json
import runpy
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from beauty_rec_client import (
    ApiError,
    AsyncClient,
    Client,
    Filter,
    NewEvent,
    NotFound,
    NotValid,
    RecommendRequest,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from beauty_rec_client.transport import Retries, retry_after

from beauty_rec.serving.state.engine import Engine
from beauty_rec_tests.recommender.served_set import KEY, USER, data, encoder, engine, settings
from beauty_rec_tests.serving.http.doors import door

__all__ = ["data", "encoder", "engine", "settings"]
ROOT = Path(__file__).parents[2] / "clients" / "python"
HEALTH = {"status": "ok"}


def test_it_is_in_step_with_the_openapi_document() -> None:
    made = runpy.run_path(str(ROOT / "generate.py"))
    for name, text in made["generate"](made["document"]()).items():
        there = (ROOT / "beauty_rec_client" / name).read_text(encoding="utf-8")
        assert there == text, "write it anew: make client"


@pytest.fixture(scope="module")
def url(engine: Engine) -> Iterator[str]:
    with door(engine) as port:
        yield f"http://127.0.0.1:{port}"


def test_threads_ask_a_running_server(url: str) -> None:
    with Client(url, api_key=KEY) as shop:
        answer = shop.recommend(RecommendRequest(user_id=USER, context="rose", k=3))
        assert [item.rank for item in answer.items] == [1, 2, 3]
        name = answer.items[0].parent_asin
        soap = Filter(category=["soap", "serum"], not_=Filter(category="serum"))
        filtered = shop.recommend(RecommendRequest(filters=soap, k=3))
        assert [item.category for item in filtered.items] == ["soap"] * 3
        assert shop.item(name).version == answer.version == shop.version().version
        assert len(shop.similar(name, k=2).items) == 2
        assert shop.search("rose soap", k=4, order="lexical").order == "lexical"
        given = NewEvent(user_id="A client", parent_asin=name, rating=4.0)
        assert shop.put_event(given).stored == 1
        clicked = NewEvent(
            user_id="A client",
            parent_asin=name,
            type="click",
            recommendation_id=answer.recommendation_id,
        )
        assert shop.put_event([clicked]).attributed == 1
        assert shop.readyz().status == "ready"
        assert "beauty_rec_ready 1.0" in shop.metrics()


def test_an_event_loop_asks_a_running_server(url: str) -> None:
    async def ask() -> list[int]:
        async with AsyncClient(url) as shop:
            asked = [RecommendRequest(context=f"soap {k}", k=k) for k in (1, 2, 3)]
            answers = await asyncio.gather(*(shop.recommend(one) for one in asked))
            with pytest.raises(NotFound):
                await shop.item("nothing/of that id")
            return [len(answer.items) for answer in answers]

    assert asyncio.run(ask()) == [1, 2, 3]


def test_a_refusal_is_an_exception_with_its_problem(url: str) -> None:
    with Client(url) as shop:
        with pytest.raises(NotFound) as missing:
            shop.item("a/similar?")
        assert missing.value.problem.detail == "no item 'a/similar?'"
        assert missing.value.problem.request_id
        wrong = RecommendRequest(filters=Filter(min_price=5, max_price=1))
        with pytest.raises(NotValid) as invalid:
            shop.recommend(wrong)
        assert invalid.value.problem.errors
        with pytest.raises(Unauthorized, match="401"):
            shop.put_event(NewEvent(user_id="u", parent_asin="x"))


class Moody:
    """A server that gives the next of its answers: status, headers, body."""

    def __init__(self, *answers: tuple[int, dict[str, str], object]) -> None:
        self.left, self.asked = list(answers), 0


@contextmanager
def moody(*answers: tuple[int, dict[str, str], object]) -> Iterator[tuple[str, Moody]]:
    mood = Moody(*answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            mood.asked += 1
            self.rfile.read(int(self.headers.get("content-length", 0)))
            status, headers, body = mood.left.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        do_POST = do_GET

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", mood
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


LATER = {"retry-after": "0"}
EVENT = NewEvent(user_id="u", parent_asin="x")
STORED = {"stored": 1, "attributed": 0, "unattributed": 0, "version": "v"}


def test_a_server_that_is_busy_is_asked_again_after_what_it_says() -> None:
    with moody((429, {"retry-after": "1"}, {}), (503, LATER, {}), (200, {}, STORED)) as (url, mood):
        started = time.monotonic()
        with Client(url) as shop:
            assert shop.put_event(EVENT).stored == 1
        assert mood.asked == 3
        assert time.monotonic() - started >= 1


def test_it_gives_up_after_its_retries_and_before_a_long_wait() -> None:
    with moody(*[(503, LATER, {})] * 3) as (url, mood):
        with Client(url, retries=Retries(2)) as shop, pytest.raises(Unavailable):
            shop.healthz()
        assert mood.asked == 3
    with moody((429, {"retry-after": "3600"}, {})) as (url, mood):
        with Client(url) as shop, pytest.raises(TooManyRequests):
            shop.healthz()
        assert mood.asked == 1


def test_a_write_that_may_have_been_done_is_not_sent_again() -> None:
    with moody((502, {}, "no json of ours")) as (url, mood):
        with Client(url) as shop, pytest.raises(ApiError) as refused:
            shop.put_event(EVENT)
        assert refused.value.status == refused.value.problem.status == 502
        assert mood.asked == 1
    with moody((502, LATER, {}), (200, {}, HEALTH)) as (url, mood), Client(url) as shop:
        assert shop.healthz().status == "ok"


def test_a_status_that_is_an_answer_is_not_a_refusal() -> None:
    with moody((503, {}, {"status": "not ready", "reasons": ["x"]})) as (url, mood):
        with Client(url) as shop:
            assert shop.readyz().reasons == ["x"]
        assert mood.asked == 1


def test_nobody_there_is_httpx_own_error() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with Client(url, retries=Retries(1)) as shop, pytest.raises(httpx.ConnectError):
            shop.healthz()


def test_a_date_to_come_again_is_read() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 50 < (retry_after(at) or 0) <= 60
    for unread in ("soon", "²", f"Fri, 31 Dec {'9' * 20} 23:59:59 GMT",
                   "Fri, 31 Dec 9999 23:59:59 -2359"):  # fmt: skip
        assert retry_after(unread) is None
