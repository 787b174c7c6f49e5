"""Connections that cannot be held open for nothing: bounded heads, deadlines, caps.

uvicorn with h11, which gives up on a head that grows beyond `h11_max_incomplete_event_size`; under
httptools nothing bounds it. What neither of them does is done here: an end to silent and half-sent
connections, to those that take no answer, and to too many of them.
"""

import asyncio
import sys
from collections import Counter
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from beauty_rec.serving.http.rate import Proxies, client_at
from beauty_rec.settings import ServeSettings

KEEP_ALIVE_S = 30
SLACK_S = 5.0
"""Beyond the time for a body and for its answer: for the answer to be taken."""
_REFUSALS = {
    400: (b"Bad Request", b"this is no HTTP request"),
    408: (b"Request Timeout", b"the head of a request came too slowly"),
    431: (b"Request Header Fields Too Large", b"the head of a request is too large"),
    503: (b"Service Unavailable", b"too many connections"),
}


class Open:
    """Counts the open connections of each client and holds them against the caps.

    A trusted proxy's connections are those of many clients: only the total counts for it.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._most, self._each = settings.max_connections, settings.max_connections_per_client
        self._proxies = Proxies(settings.trusted_proxies)
        self._count: Counter[str] = Counter()

    def enter(self, host: str) -> str | None:
        """Count a connection and return what :meth:`leave` takes; None where it is one too many."""
        client = client_at(host)
        if self._count.total() >= self._most:
            return None
        if self._count[client] >= self._each and host not in self._proxies:
            return None
        self._count[client] += 1
        return client

    def leave(self, client: str) -> None:
        """Forget a connection."""
        self._count[client] -= 1
        if not self._count[client]:
            del self._count[client]


class BoundedProtocol(H11Protocol):
    """A connection with an end."""

    settings: ServeSettings
    open_now: Open

    def __init__(
        self,
        config: Config,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._client: str | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._answering: Any = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._client = self.open_now.enter(self.client[0] if self.client else "")
        if self._client is None:
            self._refuse(503)
        else:
            self._end_after(self.settings.head_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._no_deadline()
        if self._client is not None:
            self.open_now.leave(self._client)
            self._client = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._deadline is None:  # the first bytes after an answer
            self._end_after(self.settings.head_timeout_s)
        super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None and self.cycle is not self._answering:
            self._answering = self.cycle
            self._end_after(2 * self.settings.request_timeout_s + SLACK_S)

    def on_response_complete(self) -> None:
        self._no_deadline()
        if self.transport.is_closing():  # once the rest is taken, which may be never
            self._end_after(SLACK_S)
        super().on_response_complete()
        if self._deadline is None and self.conn.trailing_data[0]:  # the next head has begun
            self._end_after(self.settings.head_timeout_s)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        # What was not taken by now is not waited for.
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        error = sys.exception()
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        self._refuse(status if status in _REFUSALS else 400)

    def _unsupported_upgrade_warning(self) -> None:
        """An upgrade may be ignored; whoever asks for one is not worth a line of the log."""

    def _end_after(self, seconds: float) -> None:
        self._no_deadline()
        self._deadline = self.loop.call_later(seconds, self._end)

    def _no_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self) -> None:
        self._deadline = None
        if self.cycle is None or self.cycle.response_complete:
            self._refuse(408)
        self.transport.abort()

    def _refuse(self, status: int) -> None:
        """Answer in one piece where no answer has begun, and close."""
        if self.transport.is_closing():
            return
        phrase, said = _REFUSALS[status]
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(
                b"HTTP/1.1 %d %s\r\nconnection: close\r\ncontent-length: %d\r\n"
                b"content-type: text/plain; charset=utf-8\r\n\r\n%s"
                % (status, phrase, len(said), said)
            )
        self.transport.close()


def bounds(given: ServeSettings) -> dict[str, Any]:
    """Return the options of uvicorn that hold connections to their limits."""

    class Bounded(BoundedProtocol):
        settings = given
        open_now = Open(given)

    return {
        "http": Bounded,
        "ws": "none",
        "proxy_headers": False,  # the app reads them itself, from those that it trusts
        "h11_max_incomplete_event_size": given.max_head_bytes,
        "timeout_keep_alive": KEEP_ALIVE_S,
    }
