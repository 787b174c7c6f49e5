"""The OpenAPI document against the API: drawn requests, no 5xx, no status that is not told.

``make test-api`` draws 7,000 (``BEAUTY_REC_API_EXAMPLES`` for each route); `make test` a few.
"""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
)

from beauty_rec.serving.http.app import create_app
from beauty_rec.serving.state.engine import Engine
from beauty_rec_tests.recommender.served_set import KEY

EXAMPLES = int(os.environ.get("BEAUTY_REC_API_EXAMPLES", "4"))

HOST = {"Host": "127.0.0.1"}
WRITES = (
    "POST /v1/items",
    "PATCH /v1/items/{parent_asin}",
    "DELETE /v1/items/{parent_asin}",
    "POST /v1/events",
    "DELETE /v1/users/{user_id}",
    "DELETE /v1/users/{user_id}/events",
)
KEYED = (*WRITES, "GET /v1/operations", "GET /v1/experiment")
"""Routes that need the key on this machine's own address, too."""
ROUTES = (
    "POST /v1/recommend",
    "POST /v1/recommend/batch",
    "GET /v1/search",
    "GET /v1/feeds/{feed}",
    "GET /v1/items/{parent_asin}",
    "GET /v1/items/{parent_asin}/similar",
    "GET /v1/facets",
    *KEYED,
    "GET /v1/sample-users",
    "GET /v1/experiment",
    "GET /healthz",
    "GET /readyz",
    "GET /version",
    "GET /metrics",
)


@pytest.fixture(scope="module")
def api(engine: Engine) -> Iterator[BaseSchema]:
    with TestClient(create_app(engine), base_url="http://127.0.0.1") as client:
        yield schemathesis.openapi.from_asgi("/openapi.json", client.app, headers=HOST)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_the_api_keeps_to_its_document(api: BaseSchema, mode: GenerationMode) -> None:
    sent: Counter[int] = Counter()
    read: Iterator[Any] = api.get_all_operations()
    operations = {o.label: o for found in read if (o := found.ok())}
    assert set(operations) == set(ROUTES)

    for operation in operations.values():

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def drawn(case: schemathesis.Case) -> None:
            response = case.call(headers={**HOST, "X-API-Key": KEY})
            sent[response.status_code] += 1
            assert response.status_code < 500
            if case.operation.label in KEYED:
                without_key = case.call(headers=HOST).status_code
                nowhere = without_key == response.status_code == 404  # no route has a line break
                assert without_key in (401, 405) or nowhere
            # What a schema cannot say (min_price above max_price) is refused all the same.
            # The key is sent with every case, which the check of keys does not see.
            excluded: list[Any] = [positive_data_acceptance, ignored_auth]
            if response.status_code == 431:  # refused, too, which the check does not know
                excluded.append(negative_data_rejection)
            case.validate_response(response, excluded_checks=excluded)

        with suppress(Unsatisfiable):  # nothing is wrong where nothing can be said
            drawn()
    print(f"\n{mode.value}: {sum(sent.values())} requests, by status {dict(sorted(sent.items()))}")
