"""What the OpenAPI document says of keys and problems, as clients are made from it."""

from collections.abc import Iterator
from typing import Any

import pytest

from beauty_rec.serving.http.app import create_app, create_shops_app
from beauty_rec.serving.http.shops.shop import Shop
from beauty_rec.serving.state.engine import Engine
from beauty_rec_tests.serving.http.doors import engine_with
from beauty_rec_tests.serving.http.test_contract import KEYED

KEY: list[dict[str, list[str]]] = [{"api_key": []}, {"bearer": []}]
OPEN = {"GET /healthz", "GET /readyz"}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_it_says_where_the_key_is_needed(engine: Engine, host: str) -> None:
    document = create_app(engine_with(engine, host=host)).openapi()
    schemes = document["components"]["securitySchemes"]
    assert schemes["api_key"] == {"type": "apiKey", "in": "header", "name": "x-api-key"}
    said = {label: operation.get("security") for label, operation in operations(document)}
    assert {label for label, need in said.items() if need is None} == OPEN
    needed = set(KEYED) if host == "127.0.0.1" else set(said) - OPEN
    assert {label for label, need in said.items() if need == KEY} == needed


def test_problems_are_of_their_own_media_type(engine: Engine) -> None:
    for _, operation in operations(create_app(engine).openapi()):
        assert list(operation["responses"]["500"]["content"]) == ["application/problem+json"]


def test_of_several_shops_each_may_be_unknown(engine: Engine) -> None:
    shops = [Shop(name, lambda: engine.settings, engine) for name in ("perfumes", "soaps")]
    document = create_shops_app(shops, engine.settings).openapi()
    below = [one for label, one in operations(document) if "/v1/shops/{shop}" in label]
    assert len(below) > 10
    for operation in below:
        assert list(operation["responses"]["404"]["content"]) == ["application/problem+json"]
