"""What stands before every route: ids, hosts, keys, limits, time-outs, headers, logs, metrics."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from beauty_rec.serving.http.access import PROBES, Found, Keys, route_of
from beauty_rec.serving.http.hosts import is_own, name_of, origin_form
from beauty_rec.serving.http.problems import ProblemResponse, Refused
from beauty_rec.serving.http.rate import Rate, client_of
from beauty_rec.serving.http.shops.several import AT, Shops
from beauty_rec.serving.http.telemetry import LOG, Metrics
from beauty_rec.settings import Settings

REQUEST_ID = "x-request-id"
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})


class Gone(Exception):
    """Who asked has hung up."""


class Guard:
    """ASGI middleware around the whole app. What it does not know goes no further.

    It leaves for the routes, in ``scope["state"]``: the client, whether the method is HEAD
    (``is_head``), and the shop that the route is of.
    """

    def __init__(
        self, app: ASGIApp, given: Settings, metrics: Metrics, rate: Rate, shops: Shops
    ) -> None:
        settings = self.settings = given.serve
        self.app, self.metrics, self.rate, self.shops = app, metrics, rate, shops
        self._own = is_own(settings.host)
        self._hosts = {
            *("localhost", "127.0.0.1", "::1"),
            *(name_of(host) for host in (settings.host, *settings.allowed_hosts)),
        }
        self._keys = Keys(settings.api_key, is_own=self._own)
        self._keys_of = {
            name: Keys(key, is_own=self._own) for name, key in given.shops.keys.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "no WebSocket here"})
        elif scope["type"] == "http":
            await self._answer(origin_form(scope), receive, send)
        else:
            await self.app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers = {name.lower(): value for name, value in scope["headers"]}
        given = headers.get(REQUEST_ID.encode(), b"").decode("latin-1")
        plain = given.replace("-", "").isalnum() and given.isascii() and len(given) <= 64
        request_id = given if plain else secrets.token_hex(8)
        state = scope.setdefault("state", {})
        state["request_id"], state["client"] = request_id, client_of(scope)
        method = scope["method"]
        state["is_head"] = method == "HEAD"
        # HEAD is GET without the body. Ranges are not read: files are small, and one that is not
        # understood has to be ignored (RFC 9110, 14.2), which what sends files does not.
        whole = [each for each in scope["headers"] if each[0].lower() != b"range"]
        asked = {**scope, "headers": whole, "method": "GET" if method == "HEAD" else method}
        found = route_of(asked)
        shop = None if found.route is None else self.shops.get(found.shop)
        state["shop"] = shop
        status = 500
        begun = ended = False

        async def answer(message: Message) -> None:
            nonlocal status, begun, ended
            if message["type"] == "http.response.start":
                begun, status = True, message["status"]
                out = MutableHeaders(scope=message)
                out[REQUEST_ID] = request_id
                for name, value in SECURITY_HEADERS.items():
                    out[name] = value
                del out["accept-ranges"]
                if "cache-control" not in out:
                    out["cache-control"] = "no-store"
            else:
                ended = not message.get("more_body", False)
                if method == "HEAD":
                    message = {**message, "body": b""}
            await send(message)

        async def problem(response: ProblemResponse) -> None:
            if not begun:
                await response(scope, receive, answer)

        self.metrics.waiting.inc()
        try:
            self._check(scope, headers, found)
            if found.route is None:
                raise self._no_route(found.allowed)
            if found.shop is not None and shop is None:
                raise self.shops.unknown(found.shop)
            body = await self._body(receive, headers)
            async with asyncio.timeout(self.settings.request_timeout_s):
                answering = self.app(asked, _replay(body, receive), answer)
                await _unless_gone(answering, receive, lambda: ended)
        except Refused as refusal:
            await problem(refusal.response(scope))
        except Gone:
            status = 499
        except TimeoutError:
            seconds = self.settings.request_timeout_s
            await problem(ProblemResponse(scope, 504, f"no answer within {seconds:g} s"))
        except Exception as error:
            LOG.error("failed", extra={"request_id": request_id}, exc_info=error)
            await problem(ProblemResponse(scope, 500, "see the server's log for this request id"))
        finally:
            seconds = time.perf_counter() - started
            self.metrics.waiting.dec()
            method = method if method in _METHODS else "other"
            traffic = (shop or self).metrics.traffic
            traffic.requests.labels(method, found.path, str(status)).inc()
            traffic.seconds.labels(found.path).observe(seconds)
            LOG.info(
                "request",
                extra={
                    "request_id": request_id,
                    "method": method,
                    "route": found.path,
                    "status": status,
                    "ms": round(seconds * 1000, 2),
                },
            )

    def _check(self, scope: Scope, headers: Mapping[bytes, bytes], found: Found) -> None:
        """Hold a request to a route against all that does not need its body."""
        size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        size += sum(len(key) + len(value) + 4 for key, value in scope["headers"])
        if size > self.settings.max_head_bytes:
            most = f"{self.settings.max_head_bytes:,}"
            raise Refused(431, f"the head may have {most} bytes", Connection="close")
        if b"content-length" in headers and b"transfer-encoding" in headers:
            # Whoever stands before us may see another end of this request than we do.
            raise Refused(400, "a length and chunks at once are refused", Connection="close")
        host = headers.get(b"host", b"").decode("latin-1")
        # Another name than ours is a page that had its name pointed to us (DNS rebinding).
        if self._own and name_of(host) not in self._hosts:
            raise Refused(421, "this server is not known by that name; see serve.allowed_hosts")
        if found.name not in PROBES:
            wait = self.rate.take(scope["state"]["client"])
            if wait > 0:
                raise Refused(429, f"come again in {wait:.1f} s", Retry_After=str(int(wait) + 1))
        # A shop's own key opens that shop alone, and no other key opens it.
        keys = self._keys if found.shop is None else self._keys_of.get(found.shop, self._keys)
        keys.check(found.name, headers)

    async def _body(self, receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
        limit = self.settings.max_body_bytes
        stated = headers.get(b"content-length", b"0")
        if stated.isdigit() and int(stated) > limit:
            raise Refused(413, f"a body may have {limit:,} bytes", Connection="close")
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.settings.request_timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Gone
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > limit:
                        raise Refused(413, f"a body may have {limit:,} bytes", Connection="close")
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise Refused(408, "the body came too slowly", Connection="close") from None
        return b"".join(parts)

    def _no_route(self, allowed: list[str]) -> Refused:
        if allowed:
            return Refused(405, "Method Not Allowed", Allow=", ".join(allowed))
        hint = "" if self.shops.only else f"; several shops are served, each below {AT}/"
        return Refused(404, f"Not Found{hint}")


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return what gives the body once, and what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return again


async def _unless_gone(
    answering: Awaitable[None], receive: Receive, ended: Callable[[], bool]
) -> None:
    """Await an answer, and end it when who asked hangs up: nobody would read it.

    Raises:
        Gone: that happened before the answer had ended.
    """

    async def hung_up() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    task, gone = asyncio.ensure_future(answering), asyncio.ensure_future(hung_up())
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done() and not ended():
            raise Gone
        await task
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)
