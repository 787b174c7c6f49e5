"""How a request goes out: the key, retries with Retry-After, and answers as models."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from pydantic import BaseModel, TypeAdapter

from beauty_rec_client.errors import error_of

SAFE = frozenset({"GET", "HEAD", "PUT", "DELETE"})
"""Methods that may be asked twice to the same end."""
NOT_NOW = frozenset({429, 503})
"""Answers after which nothing was done: anything may be asked again."""
BETWEEN = frozenset({502, 504})
"""Answers of a proxy, or of a server that was too slow: something may have been done."""
OF_SERVER = frozenset({"/healthz"})
"""Paths that are of no shop."""


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        method, path: as in the OpenAPI document, ``{names}`` in the path.
        accepts: statuses besides 2xx whose answer is the model, too.
    """

    method: str
    path: str
    in_path: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, Any] = field(default_factory=dict)
    body: BaseModel | Sequence[BaseModel] | None = None
    accepts: tuple[int, ...] = ()

    def request(self, shop: str | None = None) -> dict[str, Any]:
        """Return the arguments of httpx's ``request``, to one of several shops if it is named."""
        named = {n: quote(str(value), safe="") for n, value in self.in_path.items()}
        path = self.path
        if shop is not None and path not in OF_SERVER:
            path = f"/v1/shops/{quote(shop, safe='')}/{path.removeprefix('/v1').lstrip('/')}"
        found: dict[str, Any] = {
            "method": self.method,
            "url": path.format(**named),
            "params": {n: v for n, v in self.query.items() if v is not None},
            "headers": {n: str(v) for n, v in self.headers.items() if v is not None},
        }
        if self.body is not None:
            found["content"] = _json(self.body)
            found["headers"]["content-type"] = "application/json"
        return found

    def answer(self, response: httpx.Response, model: Any) -> Any:
        """Return the answer as ``model``.

        Raises:
            ApiError: it is no success.
        """
        if not response.is_success and response.status_code not in self.accepts:
            raise error_of(response)
        if model is None:
            return None
        return response.text if model is str else TypeAdapter(model).validate_json(response.content)


def _json(body: BaseModel | Sequence[BaseModel]) -> str:
    if isinstance(body, BaseModel):
        return body.model_dump_json(exclude_unset=True, by_alias=True)
    return f"[{','.join(map(_json, body))}]"


@dataclass(frozen=True)
class Retries:
    """How often, and after how many seconds, a request is made again."""

    retries: int = 3
    max_wait_s: float = 30.0

    def wait(
        self, call: Call, attempt: int, outcome: httpx.Response | httpx.TransportError
    ) -> float | None:
        """Return the seconds to wait before the next attempt; None: there is none."""
        if attempt >= self.retries:
            return None
        backoff = min(self.max_wait_s, 0.2 * 2**attempt * (1 + random.random()))
        if isinstance(outcome, httpx.TransportError):
            unsent = isinstance(outcome, httpx.ConnectError | httpx.ConnectTimeout)
            return backoff if unsent or call.method in SAFE else None
        status = outcome.status_code
        if status in call.accepts:
            return None
        if status in NOT_NOW or (status in BETWEEN and call.method in SAFE):
            asked = retry_after(outcome.headers.get("retry-after"))
            seconds = backoff if asked is None else asked
            return seconds if seconds <= self.max_wait_s else None
        return None


def retry_after(header: str | None) -> float | None:
    """Return a Retry-After header, seconds or a date, in seconds from now.

    >>> retry_after("2")
    2.0
    """
    if header is None:
        return None
    try:
        if header.strip().isdigit():
            return float(header)
        at = parsedate_to_datetime(header).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def _headers(api_key: str | None) -> dict[str, str]:
    return {} if api_key is None else {"x-api-key": api_key}


class Transport:
    """Requests of a thread."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        shop: str | None = None,
        timeout_s: float = 20.0,
        retries: Retries | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._retries, self._shop = retries or Retries(), shop
        self._http = httpx.Client(
            base_url=url, headers=_headers(api_key), timeout=timeout_s, transport=transport
        )

    def call(self, call: Call, model: Any) -> Any:
        """Return the answer; see :meth:`Call.answer`."""
        attempt = 0
        while True:
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = self._http.request(**call.request(self._shop))
            except httpx.TransportError as error:
                outcome = error
            seconds = self._retries.wait(call, attempt, outcome)
            if seconds is None:
                if isinstance(outcome, httpx.TransportError):
                    raise outcome
                return call.answer(outcome, model)
            time.sleep(seconds)
            attempt += 1

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncTransport:
    """Requests of an event loop."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        shop: str | None = None,
        timeout_s: float = 20.0,
        retries: Retries | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._retries, self._shop = retries or Retries(), shop
        self._http = httpx.AsyncClient(
            base_url=url, headers=_headers(api_key), timeout=timeout_s, transport=transport
        )

    async def call(self, call: Call, model: Any) -> Any:
        """Return the answer; see :meth:`Call.answer`."""
        attempt = 0
        while True:
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = await self._http.request(**call.request(self._shop))
            except httpx.TransportError as error:
                outcome = error
            seconds = self._retries.wait(call, attempt, outcome)
            if seconds is None:
                if isinstance(outcome, httpx.TransportError):
                    raise outcome
                return call.answer(outcome, model)
            await asyncio.sleep(seconds)
            attempt += 1

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
