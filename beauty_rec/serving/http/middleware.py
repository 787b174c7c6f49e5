"""What stands before every route: ids, hosts, keys, limits, time-outs, headers, logs, metrics."""

import asyncio
import hmac
import ipaddress
import secrets
import time
from collections import OrderedDict

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from beauty_rec.serving.http.problems import ProblemResponse
from beauty_rec.serving.http.telemetry import LOG, Metrics
from beauty_rec.settings import ServeSettings

REQUEST_ID = "x-request-id"
KEY = "x-api-key"
OPEN_PATHS = ("/healthz", "/readyz", "/", "/assets/", "/openapi.json")
"""No limit of rate for a load balancer's questions; no key for the page itself."""
ADDRESSES_KEPT = 10_000
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


def is_own(host: str) -> bool:
    """Whether an address to bind to is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Refused(Exception):
    """A request that goes no further: status, what is said, headers."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Guard:
    """ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp, settings: ServeSettings, metrics: Metrics) -> None:
        self.app, self.settings, self.metrics = app, settings, metrics
        self._own = is_own(settings.host)
        self._hosts = {"localhost", "127.0.0.1", "::1", settings.host, *settings.allowed_hosts}
        key = settings.api_key
        self._key = key.get_secret_value().encode() if key is not None else None
        self._rate = _Rate(settings.requests_per_second)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = {name.lower(): value for name, value in scope["headers"]}
        given = headers.get(REQUEST_ID.encode(), b"").decode("latin-1")
        plain = given.replace("-", "").isalnum() and given.isascii() and len(given) <= 64
        request_id = given if plain else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 500
        begun = False

        async def answer(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                begun, status = True, message["status"]
                out = MutableHeaders(scope=message)
                out[REQUEST_ID] = request_id
                for name, value in SECURITY_HEADERS.items():
                    out[name] = value
                if "cache-control" not in out:
                    out["cache-control"] = "no-store"
            await send(message)

        self.metrics.waiting.inc()
        try:
            self._check(scope, headers)
            body = await self._body(receive, headers)
            async with asyncio.timeout(self.settings.request_timeout_s):
                await self.app(scope, _replay(body, receive), answer)
        except Refused as refusal:
            response = ProblemResponse(scope, refusal.status, refusal.detail, None, refusal.headers)
            await response(scope, receive, answer)
        except TimeoutError:
            if not begun:
                seconds = self.settings.request_timeout_s
                response = ProblemResponse(scope, 504, f"no answer within {seconds:g} s")
                await response(scope, receive, answer)
        except Exception as error:
            LOG.error("failed", extra={"request_id": request_id}, exc_info=error)
            if not begun:
                response = ProblemResponse(scope, 500, "see the server's log for this request id")
                await response(scope, receive, answer)
        finally:
            seconds = time.perf_counter() - started
            self.metrics.waiting.dec()
            route = getattr(scope.get("route"), "path", None) or "none"
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self.metrics.requests.labels(method, route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(seconds)
            LOG.info(
                "request",
                extra={
                    "request_id": request_id,
                    "method": method,
                    "route": route,
                    "status": status,
                    "ms": round(seconds * 1000, 2),
                },
            )

    def _check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        path = scope["path"]
        host = headers.get(b"host", b"").decode("latin-1")
        # Another name than ours is a page that had its name pointed to us (DNS rebinding).
        if self._own and _name(host) not in self._hosts:
            raise Refused(421, "this server is not known by that name; see serve.allowed_hosts")
        is_open = path == "/" or path.startswith(OPEN_PATHS[3]) or path in OPEN_PATHS
        if not path.startswith("/healthz") and not path.startswith("/readyz"):
            client = scope.get("client")
            wait = self._rate.wait(client[0] if client else "")
            if wait > 0:
                raise Refused(429, f"come again in {wait:.1f} s", Retry_After=str(int(wait) + 1))
        if is_open or scope["method"] == "OPTIONS":
            return
        writes = scope["method"] not in ("GET", "HEAD") and path in _WRITES
        if not writes and self._own:
            return
        if self._key is None:
            raise Refused(403, "writes are off: set serve.api_key, then send it as X-API-Key")
        sent = headers.get(KEY.encode(), b"")
        if not sent:
            raise Refused(401, "send the API key as X-API-Key", WWW_Authenticate="ApiKey")
        if not hmac.compare_digest(sent, self._key):
            raise Refused(401, "that is not the API key", WWW_Authenticate="ApiKey")

    async def _body(self, receive: Receive, headers: dict[bytes, bytes]) -> bytes:
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
                        break
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > limit:
                        raise Refused(413, f"a body may have {limit:,} bytes", Connection="close")
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise Refused(408, "the body came too slowly", Connection="close") from None
        return b"".join(parts)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_WRITES = frozenset({"/v1/items", "/v1/events"})


def _name(host: str) -> str:
    """Return a Host header without its port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


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


class _Rate:
    """A bucket of tokens for each address; the least recently seen addresses are forgotten."""

    def __init__(self, per_second: float) -> None:
        self._per_second, self._most = per_second, 2 * per_second
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Take a token; return the seconds to wait for one instead when there is none."""
        if not self._per_second:
            return 0.0
        now = time.monotonic()
        tokens, then = self._buckets.pop(address, (self._most, now))
        tokens = min(self._most, tokens + (now - then) * self._per_second)
        enough = tokens >= 1
        self._buckets[address] = (tokens - 1 if enough else tokens, now)
        while len(self._buckets) > ADDRESSES_KEPT:
            self._buckets.popitem(last=False)
        return 0.0 if enough else (1 - tokens) / self._per_second
