"""Routes of the feeds: lists that a page shows without a question."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from beauty_rec.recommender.online import requests
from beauty_rec.recommender.online.feeds.question import (
    MOST_SHELVES,
    FeedName,
    FeedQuestion,
    UnfitFeed,
)
from beauty_rec.recommender.online.values import Id, Label
from beauty_rec.serving.http import schema
from beauty_rec.serving.http.routes.responses import READ, Ask, FilterText, Json, K, filter_of


def add_feeds(router: APIRouter, ask: Ask) -> None:
    """Add the routes of the feeds; ``ask`` answers a question in its turn."""

    @router.get("/feeds/{feed}", response_model=schema.Feed, responses=READ, tags=["answers"])
    async def feed(
        http: Request,
        feed: Annotated[FeedName, Path(description="which of the lists")],
        k: K = 10,
        category: Annotated[list[Label] | None, Query(max_length=50)] = None,
        user_id: Annotated[
            Id | None, Query(description="whose past items are left out, or have their shelves")
        ] = None,
        parent_asin: Annotated[
            Id | None, Query(description="the item that bought-together is about")
        ] = None,
        context: Annotated[
            str | None,
            Query(max_length=requests.MAX_TEXT, description="the occasion, of popular alone"),
        ] = None,
        shelves: Annotated[int, Query(ge=1, le=MOST_SHELVES)] = 3,
        filter_text: FilterText = None,
    ) -> Response:
        """A list that a page shows without a question, with the figures that put each item there.

        trending, new-arrivals, popular (within an occasion), bought-together (with an item), or
        because-you-bought: a shelf for each of the user's latest items.
        """
        filters = filter_of(filter_text, category=category)
        try:
            question = FeedQuestion(
                feed, k, filters, user_id, parent_asin, (context or "").strip() or None, shelves
            )
            return Json(await ask(http, question))
        except UnfitFeed as error:
            raise RequestValidationError(
                [{"loc": ("query", error.field), "msg": str(error), "type": "feed"}]
            ) from None
