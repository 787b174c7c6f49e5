"""Routes of the items: one of them, what is like it, and what a shop adds."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from beauty_rec.recommender.online import requests
from beauty_rec.recommender.online.values import Label
from beauty_rec.serving.http import schema
from beauty_rec.serving.http.rate import Rate
from beauty_rec.serving.http.routes.responses import (
    ITEM,
    READ,
    WRITE,
    Ask,
    FilterText,
    ItemId,
    Json,
    K,
    filter_of,
    is_part_of_id,
)
from beauty_rec.serving.http.shops.several import shop_of
from beauty_rec.serving.http.turns.cost import SimilarQuestion, cost_of_items
from beauty_rec.serving.http.turns.one_by_one import OneByOne


def add_items(router: APIRouter, ask: Ask, rate: Rate, adding: OneByOne) -> None:
    """Add the routes of the items.

    Args:
        router: that they are added to.
        ask: answers a question of a request in its turn.
        rate: charged for what is written.
        adding: where items are added.
    """

    # Before the item itself, whose id may hold a slash.
    @router.get(
        "/items/{parent_asin:path}/similar",
        response_model=schema.Hits,
        responses=ITEM,
        tags=["items"],
    )
    async def similar(
        http: Request,
        parent_asin: ItemId,
        k: K = 10,
        by: requests.SimilarBy = "text",
        filter_text: FilterText = None,
    ) -> Response:
        """Items whose texts or vectors are nearest to this one's, or taken together with it."""
        if is_part_of_id(http, "similar"):
            return await item(http, f"{parent_asin}/similar")
        question = SimilarQuestion(parent_asin, k, by, filter_of(filter_text))
        return Json(await ask(http, question))

    @router.get(
        "/items/{parent_asin:path}",
        response_model=schema.ItemDetail,
        responses=ITEM,
        tags=["items"],
    )
    async def item(http: Request, parent_asin: ItemId) -> Response:
        """One item with all that is known of it. Send a slash in its id as %2F."""
        engine = shop_of(http).engine
        if parent_asin in engine.shop.space.row_of:
            return Json(engine.item(parent_asin))
        return Json(await asyncio.to_thread(engine.item, parent_asin))  # it names the nearest one

    @router.get("/facets", response_model=schema.Facets, responses=READ, tags=["items"])
    async def facets(
        http: Request,
        field: Annotated[list[Label], Query(max_length=10, min_length=1)] = ["category", "brand"],  # noqa: B006
        k: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        """What a filter may name: the attributes, and the values that the most items have."""
        count = shop_of(http).engine.facets
        return Json(await asyncio.to_thread(count, list(dict.fromkeys(field)), k))

    @router.patch(
        "/items/{parent_asin:path}",
        response_model=schema.ItemState,
        responses=WRITE,
        tags=["items"],
    )
    async def change_item(http: Request, parent_asin: ItemId, given: schema.ItemChange) -> Response:
        """Hide an item or show it again, say whether it is in stock, or at what price."""
        said = given.model_dump(include=given.model_fields_set)
        change = shop_of(http).engine.set_state
        return Json(await asyncio.to_thread(change, parent_asin, **said))

    @router.delete(
        "/items/{parent_asin:path}",
        response_model=schema.ItemState,
        responses=WRITE,
        tags=["items"],
    )
    async def withdraw_item(http: Request, parent_asin: ItemId) -> Response:
        """Withdraw an item: in no answer from now on, until it is given again or unhidden."""
        change = shop_of(http).engine.set_state
        return Json(await asyncio.to_thread(change, parent_asin, hidden=True))

    @router.post("/items", response_model=schema.Stored, responses=WRITE, tags=["items"])
    async def put_items(http: Request, given: schema.NewItems) -> Response:
        """Add or replace items; they are found at once, and after a restart."""
        rate.charge(http.state.client, cost_of_items(given.items))
        shop = shop_of(http)
        version = await adding.call(shop, shop.engine.add_items, given.items)
        return Json({"stored": len({i.parent_asin for i in given.items}), "version": version})
