"""The route of the experiment, for operators."""

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import Response

from beauty_rec.serving.http.operators.experiment_schema import ExperimentState
from beauty_rec.serving.http.routes.responses import READ, Json
from beauty_rec.serving.http.shops.several import shop_of


def add_experiment(router: APIRouter) -> None:
    """Add the route of the experiment; it needs the API key."""

    @router.get("/experiment", response_model=ExperimentState, responses=READ, tags=["operations"])
    async def experiment(http: Request) -> Response:
        """The experiment: its variants with their figures, the test, and the published sets."""
        return Json(await asyncio.to_thread(shop_of(http).view.state))
