"""What the routes share: plain JSON answers, and the problems that their documents name."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import orjson
from fastapi import Path, Query, Request
from starlette.responses import Response

from beauty_rec.corpus.ids import PLAIN
from beauty_rec.recommender.online import requests
from beauty_rec.serving.http import schema
from beauty_rec.serving.http.problems import MEDIA_TYPE
from beauty_rec.serving.http.turns.cost import Question

Ask = Callable[[Request, Question], Awaitable[dict[str, Any]]]
"""Answers a question of a request in its turn."""


class Json(Response):
    """An answer that is plain values already."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    every = {400, 421, 429, 500, 503, 504}
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
