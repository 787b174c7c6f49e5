"""What the routes share: plain JSON answers, and the problems that their documents name."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Annotated, Any

import orjson
from fastapi import Path, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from beauty_rec.corpus.ids import PLAIN
from beauty_rec.recommender.online import requests
from beauty_rec.recommender.online.stock.filters import Filter, faults_of, read_filter
from beauty_rec.serving.http import schema
from beauty_rec.serving.http.problems import MEDIA_TYPE
from beauty_rec.serving.http.turns.cost import Question

Ask = Callable[[Request, Question], Awaitable[dict[str, Any]]]
"""Answers a question of a request in its turn."""
AskAll = Callable[[Request, Sequence[Question]], Awaitable[list[dict[str, Any]]]]
"""Answers the questions of a request one by one; where one fails, none counts as shown."""


class Json(Response):
    """An answer that is plain values already."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


async def json_list(name: str, values: Iterable[Any]) -> Response:
    """Return an answer that is a list of plain values, ``name``.

    It is written value by value: a long one at once keeps all others waiting.
    """
    parts = []
    for value in values:
        parts.append(orjson.dumps(value))
        await asyncio.sleep(0)
    body = b'{"%b":[%b]}' % (name.encode(), b",".join(parts))
    return Response(body, media_type=Json.media_type)


def is_part_of_id(http: Request, name: str) -> bool:
    """Whether the last part of a path, such as ``similar``, is the end of an id with a slash."""
    path: bytes = http.scope.get("raw_path", b"")
    return path.lower().endswith(f"%2f{name}".encode())


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    every = {400, 421, 429, 431, 500, 503, 504}
    return {
        status: {
            "model": schema.Problem,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            "description": "Problem",
        }
        for status in sorted(every | set(statuses))
    }


READ = problems(401, 403, 413, 408, 422)
ITEM = problems(401, 403, 404, 413, 408, 422)
WRITE = problems(401, 403, 404, 413, 408, 422)
ItemId = Annotated[
    str,
    Path(min_length=1, max_length=200, pattern=PLAIN, examples=["B0007FKCV5"]),
]
UserId = Annotated[
    str,
    Path(min_length=1, max_length=200, pattern=PLAIN, examples=["AUSER01"]),
]
K = Annotated[int, Query(ge=1, le=requests.MAX_K)]
FilterText = Annotated[
    str | None,
    Query(
        alias="filter",
        description="a JSON object, as `filters` of /v1/recommend, of at most 8,000 characters",
        examples=['{"price": {"max": 30}}'],
    ),
]


def filter_of(text: str | None, **plain: Any) -> Filter:
    """Return the filter of a query: what ``filter`` says, and the plain parameters beside it.

    Raises:
        RequestValidationError: it is none.
    """
    named = {name: value for name, value in plain.items() if value is not None}
    try:
        beside = Filter.model_validate(named)
        if text is None:
            return beside
        asked = read_filter(text)
        return Filter(all_of=[beside, asked]) if named else asked
    except ValueError as error:
        raise RequestValidationError(
            [
                {"loc": ("query", "filter", where), "msg": what, "type": "filter"}
                if where
                else {"loc": ("query", "filter"), "msg": what, "type": "filter"}
                for where, what in faults_of(error)
            ]
        ) from None
