"""Errors as RFC 9457 problem details, each with its request id."""

from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from beauty_rec.recommender.online.stock.columns import UnknownFilter
from beauty_rec.recommender.online.stock.new_items import UnknownAttribute
from beauty_rec.serving.http.shops.shop import ShopAway
from beauty_rec.serving.http.turns.batching import Overloaded
from beauty_rec.serving.state.connection import DatabaseDown
from beauty_rec.serving.state.live_shop import UnknownItem

MEDIA_TYPE = "application/problem+json"
MOST_WHERE = 300
"""Characters of the place of a fault that are said: it may be a key of any length."""
TITLES = {
    400: "Bad request",
    401: "An API key is needed",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "The request came too slowly",
    413: "Too large",
    421: "Not for this server",
    422: "Not valid",
    429: "Too many requests",
    431: "The head of the request is too large",
    500: "Something is broken here",
    503: "Not now",
    504: "It took too long",
}


class ProblemResponse(Response):
    """A problem, as ``application/problem+json``."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        scope: Scope,
        status: int,
        detail: str,
        errors: list[dict[str, str]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": TITLES.get(status, "Error"),
            "status": status,
            "detail": detail,
            "request_id": scope.get("state", {}).get("request_id", ""),
        }
        if errors:
            body["errors"] = errors
        super().__init__(orjson.dumps(body), status, headers)


class Refused(Exception):
    """A request that goes no further: status, what is said, headers."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self, scope: Scope) -> ProblemResponse:
        """Return it as a problem."""
        return ProblemResponse(scope, self.status, self.detail, None, self.headers)


def add_handlers(app: FastAPI) -> None:
    """Turn every error of the app into a problem."""

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        return ProblemResponse(request.scope, error.status_code, str(error.detail), None, headers)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        errors = [
            {
                "where": ".".join(str(part) for part in fault["loc"])[:MOST_WHERE],
                "what": fault["msg"],
            }
            for fault in error.errors()[:20]
        ]
        first = errors[0] if errors else {"where": "request", "what": "not valid"}
        return ProblemResponse(request.scope, 422, f"{first['where']}: {first['what']}", errors)

    async def unknown(request: Request, error: Exception) -> Response:
        assert isinstance(error, UnknownFilter)
        errors = [{"where": f"filters.{error.field}", "what": str(error)}]
        return ProblemResponse(request.scope, 422, str(error), errors)

    def answering(status: int, **headers: str) -> Any:
        async def handle(request: Request, error: Exception) -> Response:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return ProblemResponse(request.scope, status, str(error), None, named)

        return handle

    async def overloaded(request: Request, error: Exception) -> Response:
        return ProblemResponse(
            request.scope, 503, "more requests wait than may", None, {"Retry-After": "1"}
        )

    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(UnknownItem, answering(404))
    app.add_exception_handler(ShopAway, answering(503, Retry_After="5"))
    app.add_exception_handler(UnknownAttribute, answering(422))
    app.add_exception_handler(UnknownFilter, unknown)
    app.add_exception_handler(DatabaseDown, answering(503, Retry_After="2"))
    app.add_exception_handler(Overloaded, overloaded)
