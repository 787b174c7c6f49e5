"""Traces of requests: a span for each, and below it its turn and the stages of its batch."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from beauty_rec import tracing
from beauty_rec.serving.http.access import route_of


class Traced:
    """ASGI middleware: a span of the whole request, with route, status and request id."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method = scope["method"]
        found = route_of({**scope, "method": "GET"} if method == "HEAD" else scope)
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        given = {"http.request.method": scope["method"], "http.route": found.path}
        with tracing.span("request", headers, **given) as span:

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    for key, value in message.get("headers", ()):
                        if key == b"x-request-id":
                            span.set_attribute("beauty_rec.request_id", value.decode("latin-1"))
                await send(message)

            await self.app(scope, receive, answer)


class Turns:
    """Adds the spans of turns and stages to their requests; does nothing where none is traced."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[Any, int]] = {}

    @contextmanager
    def waiting(self, question: object) -> Iterator[None]:
        """Remember whose question it is while it waits and is computed."""
        if not tracing.tracing():
            yield
            return
        self._waiting[id(question)] = (tracing.here(), time.time_ns())
        try:
            yield
        finally:
            del self._waiting[id(question)]

    @contextmanager
    def computing(self, questions: Sequence[object]) -> Iterator[None]:
        """Add what is computed here to the requests of these questions."""
        if not tracing.tracing():
            yield
            return
        began = time.time_ns()
        with tracing.collected() as stages:
            yield
        for question in questions:
            context, since = self._waiting.get(id(question), (None, began))
            if context is not None:  # who has hung up has no span any more
                parts = [tracing.Stage("queue", since, began), *stages]
                tracing.add_spans(context, parts, **{"beauty_rec.batch": len(questions)})
