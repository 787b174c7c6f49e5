"""Routes that answer a shopper: recommendations and search."""

from typing import Annotated

from fastapi import FastAPI, Query, Request
from starlette.responses import Response

from beauty_rec.recommender.online import requests
from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.recommender.online.search import SearchQuestion
from beauty_rec.recommender.online.values import Label, Price
from beauty_rec.serving.http import schema
from beauty_rec.serving.http.routes.responses import READ, Ask, FilterText, Json, K, filter_of


def add_answers(app: FastAPI, ask: Ask) -> None:
    """Add the routes that answer a shopper; ``ask`` answers a question in its turn."""

    @app.post(
        "/v1/recommend", response_model=schema.Recommendations, responses=READ, tags=["answers"]
    )
    async def recommend(http: Request, request: RecommendRequest) -> Response:
        """Recommend items to a shopper, known by id or described here."""
        return Json(await ask(http, request))

    @app.get("/v1/search", response_model=schema.Hits, responses=READ, tags=["answers"])
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
