"""Several servers of one model: load by requests in flight, dead ones left out until they live.

Each server is reached through many small connection pools: one pool's work for a request grows
with its number of connections (httpcore 1.0), which at 80 in flight costs 7 ms a request where
pools of 4 cost 0.6 ms.
"""

import asyncio
import ipaddress
import random
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
from tqdm import tqdm

from beauty_rec.language.dialect import Dialect, excerpt
from beauty_rec.language.errors import ServerProblem

CONNECTIONS_PER_POOL = 4
FAILURES_BEFORE_DEAD = 8
"""So many failed requests in a row, none answered between, take a server out."""
FIRST_PROBE_S, LAST_PROBE_S = 0.2, 30.0
MAX_PAUSE_S = 300.0
PAUSES_S = (2, 4, 8, 16, 32, 60)
"""Of a server that says it has too many requests and not for how long: one after the other."""
MOST_BYTES = 16 << 20
"""Of an answer that is read: a list of many models, or one model's words."""


def open_client(url: str, **options: Any) -> httpx.AsyncClient:
    """Return a client for the server ``url``; this machine's own is never behind a proxy.

    Raises:
        ServerProblem: the proxy that the environment names cannot be used.
    """
    try:
        return httpx.AsyncClient(trust_env=not is_loopback(url), **options)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        said = re.sub(r"//[^/@\s]*@", "//***@", excerpt(str(error)))
        raise ServerProblem(
            f"{url}: the proxy of the environment cannot be used ({said}); name an http:// one in "
            "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, unset them, or list the host in NO_PROXY"
        ) from error


async def answer_of(
    client: httpx.AsyncClient, method: str, url: str, timeout_s: float, **options: Any
) -> httpx.Response:
    """Return a whole answer, of bounded size and in bounded time however it comes.

    Args:
        client: that asks.
        method: GET or POST.
        url: of the page.
        timeout_s: for all of the answer; a client's own bound is for each piece of it.
        options: as of ``client.request``.

    Raises:
        httpx.RequestError: as the client's own, for what takes too long or is too large as well.
    """
    content = bytearray()
    try:
        async with (
            asyncio.timeout(timeout_s),
            client.stream(method, url, **options) as answer,
        ):
            async for piece in answer.aiter_bytes():
                content += piece
                if len(content) > MOST_BYTES:
                    raise httpx.DecodingError("an endless answer", request=answer.request)
    except TimeoutError as error:
        raise httpx.ReadTimeout(f"no whole answer in {timeout_s:g} s") from error
    about = {"content-encoding", "content-length", "transfer-encoding"}  # of it as it was sent
    headers = [(n, v) for n, v in answer.headers.multi_items() if n.lower() not in about]
    return httpx.Response(
        answer.status_code, headers=headers, content=bytes(content), request=answer.request
    )


def is_loopback(url: str) -> bool:
    """Whether ``url`` leads to this machine."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


class Pool:
    """A few connections to a server, and how many requests they carry."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.in_flight = 0


class Endpoint:
    """One server. ``in_flight`` counts the requests that it is working on."""

    def __init__(self, url: str, pools: Sequence[Pool]) -> None:
        self.url = url
        self.pools = pools
        self.in_flight = 0
        self.alive = True
        self.paused_until = 0.0
        self.failures = 0
        self.pauses = 0
        self.dialect = Dialect()


class Endpoints:
    """The servers of a reading. Use it within one event loop, and close it there."""

    def __init__(
        self, urls: Sequence[str], headers: dict[str, str], in_flight: int, patience_s: float
    ) -> None:
        """Args:

        urls: without a trailing slash, such as ``http://127.0.0.1:8000/v1``.
        headers: of every request.
        in_flight: requests at one server at once.
        patience_s: seconds without any living server before :class:`ServerProblem` is raised.

        Raises:
            ServerProblem: as :func:`open_client`.
        """
        context = httpx.create_ssl_context()
        limits = httpx.Limits(max_connections=CONNECTIONS_PER_POOL)
        count = -(-in_flight // CONNECTIONS_PER_POOL)
        self.all = [
            Endpoint(
                url,
                [
                    Pool(open_client(url, headers=headers, limits=limits, verify=context))
                    for _ in range(count)
                ],
            )
            for url in urls
        ]
        self._limit = in_flight
        self._patience_s = patience_s
        self._changed = asyncio.Condition()
        self._probes: set[asyncio.Task[None]] = set()
        self._last_life = time.monotonic()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[tuple[Endpoint, httpx.AsyncClient]]:
        """Wait for the least busy living server and hold one of its places.

        Raises:
            ServerProblem: no server has lived for ``patience_s``.
        """
        endpoint = await self._choose()
        pool = min(endpoint.pools, key=lambda p: p.in_flight)
        endpoint.in_flight += 1
        pool.in_flight += 1
        try:
            yield endpoint, pool.client
        finally:
            endpoint.in_flight -= 1
            pool.in_flight -= 1
            async with self._changed:
                self._changed.notify(1)

    def worked(self, endpoint: Endpoint) -> None:
        """Note an answer."""
        endpoint.failures = endpoint.pauses = 0
        self._last_life = time.monotonic()

    def failed(self, endpoint: Endpoint) -> None:
        """Note a request that failed on the server; too many in a row take it out."""
        endpoint.failures += 1
        if endpoint.failures >= FAILURES_BEFORE_DEAD:
            self.lost(endpoint, "failed too often")

    def lost(self, endpoint: Endpoint, why: str) -> None:
        """Take a server out, and ask it from time to time whether it is back."""
        if not endpoint.alive:
            return
        endpoint.alive = False
        tqdm.write(f"language model: {endpoint.url} is out ({why}); trying it again")
        probe = asyncio.create_task(self._revive(endpoint))
        self._probes.add(probe)
        probe.add_done_callback(self._probes.discard)

    def pause(self, endpoint: Endpoint, seconds: float | None, said: str) -> None:
        """Send nothing to a server for as long as it asked, or for longer each time.

        Args:
            endpoint: that had too many requests, or none to give: it says so in the same way.
            seconds: that it asked for; none, as by a date that is past here, is no answer.
            said: its own words.

        Raises:
            ServerProblem: no server has answered for ``patience_s``.
        """
        now = time.monotonic()
        if (silent := now - self._last_life) > self._patience_s:
            raise ServerProblem(
                f"{endpoint.url} has refused all requests for {silent:.0f} s (status 429: {said}); "
                "raise its limits, or name another with --set llm.base_urls, and run again: what "
                "was answered is kept"
            )
        if not seconds:
            if endpoint.paused_until <= now:  # the rest of what was in flight is no further sign
                endpoint.pauses = min(endpoint.pauses + 1, len(PAUSES_S))
            seconds = PAUSES_S[max(0, endpoint.pauses - 1)] * random.uniform(0.5, 1)
        until = now + min(seconds, MAX_PAUSE_S)
        endpoint.paused_until = max(endpoint.paused_until, until)

    async def close(self) -> None:
        """Close all connections."""
        for probe in self._probes:
            probe.cancel()
        for endpoint in self.all:
            for pool in endpoint.pools:
                await pool.client.aclose()

    async def _choose(self) -> Endpoint:
        while True:
            now = time.monotonic()
            living = [e for e in self.all if e.alive]
            free = [e for e in living if e.paused_until <= now and e.in_flight < self._limit]
            if free:
                return min(free, key=lambda e: e.in_flight)
            if not living and now - self._last_life > self._patience_s:
                names = ", ".join(e.url for e in self.all)
                raise ServerProblem(
                    f"no language model server has answered for {self._patience_s:.0f} s "
                    f"({names}); start it and run again: what was answered is kept"
                )
            pauses = [e.paused_until - now for e in living if e.paused_until > now]
            async with self._changed:
                try:
                    await asyncio.wait_for(self._changed.wait(), min([1.0, *pauses]))
                except TimeoutError:
                    continue

    async def _revive(self, endpoint: Endpoint) -> None:
        wait_s = FIRST_PROBE_S
        while not endpoint.alive:
            await asyncio.sleep(wait_s * random.uniform(0.8, 1.2))
            wait_s = min(2 * wait_s, LAST_PROBE_S)
            try:
                answer = await answer_of(
                    endpoint.pools[0].client, "GET", f"{endpoint.url}/models", 10.0, timeout=10.0
                )
            except httpx.HTTPError:
                continue
            if answer.status_code < 500:
                endpoint.alive, endpoint.failures = True, 0
                self._last_life = time.monotonic()
                tqdm.write(f"language model: {endpoint.url} is back")
                async with self._changed:
                    self._changed.notify_all()
