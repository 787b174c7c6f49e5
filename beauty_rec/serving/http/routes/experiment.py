"""The route of the experiment, for operators."""

import asyncio

from fastapi import FastAPI
from starlette.responses import Response

from beauty_rec.serving.http.experiment_schema import ExperimentState
from beauty_rec.serving.http.experiment_view import ExperimentView
from beauty_rec.serving.http.routes.responses import READ, Json


def add_experiment(app: FastAPI, view: ExperimentView) -> None:
    """Add the route of the experiment; it needs the API key."""

    @app.get("/v1/experiment", response_model=ExperimentState, responses=READ, tags=["operations"])
    async def experiment() -> Response:
        """The experiment: its variants with their figures, the test, and the published sets."""
        return Json(await asyncio.to_thread(view.state))
