"""Routes that answer a shopper: recommendations and search."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from beauty_rec.recommender.online import requests
from beauty_rec.recommender.online.requests import BatchRequest, RecommendRequest
from beauty_rec.recommender.online.search import SearchQuestion
from beauty_rec.recommender.online.values import Label, Price
from beauty_rec.serving.http import schema
from beauty_rec.serving.http.routes.responses import (
    READ,
    Ask,
    AskAll,
    FilterText,
    Json,
    K,
    filter_of,
    json_list,
)
from beauty_rec.serving.http.turns.cost import USERS_AT_ONCE, SeveralQuestions


def add_answers(router: APIRouter, ask: Ask, ask_all: AskAll) -> None:
    """Add the routes that answer a shopper.

    Args:
        router: that they are added to.
        ask, ask_all: answer questions in their turn.
    """

    @router.post(
        "/recommend", response_model=schema.Recommendations, responses=READ, tags=["answers"]
    )
    async def recommend(http: Request, request: RecommendRequest) -> Response:
        """Recommend items to a shopper, known by id or described here."""
        return Json(await ask(http, request))

    @router.post("/recommend/batch", response_model=schema.Batch, responses=READ, tags=["answers"])
    async def recommend_batch(http: Request, batch: BatchRequest) -> Response:
        """Recommend items to many users at once, with the answers that each would get alone.

        Users are answered some at a time, so that nobody else waits for all of them.
        """
        requests = batch.alone()
        some = [
            SeveralQuestions(tuple(requests[start : start + USERS_AT_ONCE]))
            for start in range(0, len(requests), USERS_AT_ONCE)
        ]
        found = await ask_all(http, some)
        return await json_list("answers", (one for answer in found for one in answer["answers"]))

    @router.get("/search", response_model=schema.Hits, responses=READ, tags=["answers"])
    async def search(
        http: Request,
        q: Annotated[
            str,
            Query(
                min_length=1, max_length=requests.MAX_TEXT, pattern=r"\S", examples=["rose soap"]
            ),
        ],
        k: K = 10,
        category: Annotated[list[Label] | None, Query(max_length=50)] = None,
        brand: Annotated[list[Label] | None, Query(max_length=50)] = None,
        min_price: Price | None = None,
        max_price: Price | None = None,
        filter_text: FilterText = None,
        order: requests.SearchOrder = "hybrid",
    ) -> Response:
        """Find items by what they are and what reviewers say of them."""
        filters = filter_of(
            filter_text,
            category=category,
            brand=brand,
            min_price=min_price,
            max_price=max_price,
        )
        return Json(await ask(http, SearchQuestion(q, k, filters, order)))
