"""The OpenAPI document: what FastAPI makes of the routes, and what it does not know of them."""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from beauty_rec.serving.http.access import KEY, OPEN, READS
from beauty_rec.serving.http.problems import MEDIA_TYPE
from beauty_rec.serving.http.shops.several import AT

SCHEMES = {
    "api_key": {"type": "apiKey", "in": "header", "name": KEY},
    "bearer": {"type": "http", "scheme": "bearer"},
}
EITHER: list[dict[str, list[str]]] = [{name: []} for name in SCHEMES]


def add_document(app: FastAPI, *, is_own: bool) -> None:
    """Have the app say in its document which routes need the key, and how problems look.

    Args:
        app: with all its routes.
        is_own: whether it is asked on this machine's own address, where reads need no key.
    """
    plain = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(plain(), app.routes, is_own=is_own)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _completed(
    made: dict[str, Any], routes: Iterable[BaseRoute], *, is_own: bool
) -> dict[str, Any]:
    made["components"]["securitySchemes"] = SCHEMES
    for route in routes:
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        for method in route.methods or ():
            operation = made["paths"][route.path_format][method.lower()]
            if route.name not in OPEN:
                is_free = is_own and route.name in READS
                operation["security"] = [*EITHER, *([{}] if is_free else [])]
            responses = operation["responses"]
            if route.path_format.startswith(AT):  # no shop of that name
                responses.setdefault("404", responses["500"])
            for response in responses.values():
                if MEDIA_TYPE in response.get("content", {}):
                    response["content"].pop("application/json", None)
    return made
