"""The API's own routes: recommend, search, items, events, users."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Path, Query, Request
from starlette.responses import Response

from beauty_rec.corpus.ids import PLAIN
from beauty_rec.recommender.online import requests
from beauty_rec.recommender.online.catalogue import Filters
from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.recommender.online.search import SearchQuestion
from beauty_rec.serving.http import schema
from beauty_rec.serving.http.problems import MEDIA_TYPE
from beauty_rec.serving.http.rate import Rate
from beauty_rec.serving.http.turns.cost import Question, SimilarQuestion, cost_of_items
from beauty_rec.serving.state.engine import Engine

Ask = Callable[[Request, Question], Awaitable[dict[str, Any]]]


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
K = Annotated[int, Query(ge=1, le=requests.MAX_K)]


def add_answers(app: FastAPI, engine: Engine, ask: Ask, rate: Rate) -> None:
    """Add the API's own routes.

    Args:
        app: that they are added to.
        engine: what the answers come from.
        ask: answers a question of a request in its turn.
        rate: charged for what is written.
    """

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
        category: requests.Label | None = None,
        brand: requests.Label | None = None,
        min_price: requests.Price | None = None,
        max_price: requests.Price | None = None,
        order: requests.SearchOrder = "hybrid",
    ) -> Response:
        """Find items by what they are and what reviewers say of them."""
        filters = Filters(category, brand, min_price, max_price)
        return Json(await ask(http, SearchQuestion(q, k, filters, order)))

    # Before the item itself, whose id may hold a slash.
    @app.get(
        "/v1/items/{parent_asin:path}/similar",
        response_model=schema.Hits,
        responses=ITEM,
        tags=["items"],
    )
    async def similar(
        http: Request, parent_asin: ItemId, k: K = 10, by: requests.SimilarBy = "text"
    ) -> Response:
        """Items whose texts are nearest to this one's, or that are taken together with it."""
        if http.scope.get("raw_path", b"").lower().endswith(b"%2fsimilar"):
            return await item(f"{parent_asin}/similar")
        return Json(await ask(http, SimilarQuestion(parent_asin, k, by)))

    @app.get(
        "/v1/items/{parent_asin:path}",
        response_model=schema.ItemDetail,
        responses=ITEM,
        tags=["items"],
    )
    async def item(parent_asin: ItemId) -> Response:
        """One item with all that is known of it. Send a slash in its id as %2F."""
        return Json(engine.item(parent_asin))

    @app.post("/v1/items", response_model=schema.Stored, responses=WRITE, tags=["items"])
    async def put_items(http: Request, given: schema.NewItems) -> Response:
        """Add or replace items; they are found at once, and after a restart."""
        rate.charge(http.state.client, cost_of_items(given.items))
        version = await asyncio.to_thread(engine.add_items, given.items)
        return Json({"stored": len({i.parent_asin for i in given.items}), "version": version})

    @app.post("/v1/events", response_model=schema.Stored, responses=WRITE, tags=["users"])
    async def put_event(given: requests.NewEvent) -> Response:
        """Tell a user's event; the next answer to this user knows it."""
        return Json({"stored": 1, "version": await asyncio.to_thread(engine.add_event, given)})

    @app.get(
        "/v1/sample-users",
        response_model=list[schema.SampleUser],
        responses=READ,
        tags=["users"],
    )
    async def sample_users() -> Response:
        """A few users to try; none when serve.sample_users is 0."""
        shop = engine.shop
        wanted = engine.settings.serve.sample_users
        return Json([_sample(shop, user) for user in shop.samples["user_id"].head(wanted)])


def _sample(shop: Any, user_id: str) -> dict[str, Any]:
    past = shop.past(user_id, None) or []
    rows = [shop.space.row_of.get(event.parent_asin) for event in reversed(past)]
    titles = [shop.catalogue.card(row)["title"] for row in rows if row is not None]
    profile = shop.people.profile(user_id)
    return {
        "user_id": user_id,
        "events": len(past),
        "profile": {n: None if v != v else v for n, v in profile.items()},
        "latest": [title for title in titles if title][:3],
    }
