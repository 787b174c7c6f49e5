"""Routes of the users: what they did, and a few to try."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from beauty_rec.recommender.online import requests
from beauty_rec.recommender.online.values import Id
from beauty_rec.serving.http import schema
from beauty_rec.serving.http.rate import Rate
from beauty_rec.serving.http.routes.responses import READ, WRITE, Json, UserId, is_part_of_id
from beauty_rec.serving.http.shops.several import shop_of
from beauty_rec.serving.http.turns.cost import cost_of_events


def add_people(router: APIRouter, rate: Rate) -> None:
    """Add the routes of the users.

    Args:
        router: that they are added to.
        rate: charged for lists of events.
    """

    @router.post("/events", response_model=schema.StoredEvents, responses=WRITE, tags=["users"])
    async def put_event(http: Request, given: requests.Events) -> Response:
        """Tell a user's event, or up to 100 of them; the next answers to the users know them."""
        events = given if isinstance(given, list) else [given]
        rate.charge(http.state.client, cost_of_events(events) - 1)
        shop = shop_of(http)
        version, stored = await asyncio.to_thread(shop.engine.add_events, events)
        attributed, unattributed = await shop.shown.attribute(stored)
        return Json(
            {
                "stored": len(stored),
                "version": version,
                "attributed": attributed,
                "unattributed": unattributed,
            }
        )

    # Before the user, whose id may hold a slash.
    @router.delete(
        "/users/{user_id:path}/events",
        response_model=schema.Deleted,
        responses=WRITE,
        tags=["users"],
    )
    async def drop_events(
        http: Request,
        user_id: UserId,
        parent_asin: Id | None = None,
        timestamp: requests.Moment | None = None,
    ) -> Response:
        """Delete events that were given of a user: all, or those of an item, of a moment."""
        if is_part_of_id(http, "events"):
            return await forget_user(http, f"{user_id}/events")
        drop = shop_of(http).engine.drop_events
        return Json(await asyncio.to_thread(drop, user_id.strip(), parent_asin, timestamp))

    @router.delete(
        "/users/{user_id:path}",
        response_model=schema.Deleted,
        responses=WRITE,
        tags=["users"],
    )
    async def forget_user(http: Request, user_id: UserId) -> Response:
        """Forget a user, who is a stranger from the next answer on."""
        shop = shop_of(http)
        forget, leaving = shop.engine.forget, shop.shown.leaving(user_id.strip())
        return Json(await asyncio.to_thread(forget, user_id.strip(), leaving))

    @router.get(
        "/sample-users",
        response_model=list[schema.SampleUser],
        responses=READ,
        tags=["users"],
    )
    async def sample_users(http: Request) -> Response:
        """A few users to try; none when serve.sample_users is 0."""
        engine = shop_of(http).engine
        shop, wanted = engine.shop, engine.settings.serve.sample_users
        users = shop.forgotten.left(shop.samples, time=None)["user_id"].head(wanted)
        return Json([_sample(shop, user) for user in users])


def _sample(shop: Any, user_id: str) -> dict[str, Any]:
    past = shop.past(user_id, None) or []
    rows = [shop.space.row_of.get(event.parent_asin) for event in reversed(past)]
    known = [row for row in rows if row is not None and not shop.catalogue.hidden[row]]
    titles = [shop.catalogue.card(row)["title"] for row in known]
    profile = shop.profile(user_id)
    return {
        "user_id": user_id,
        "events": len(past),
        "profile": {n: None if v != v else v for n, v in profile.items()},
        "latest": [title for title in titles if title][:3],
    }
