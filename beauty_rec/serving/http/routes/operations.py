"""Routes for operators, and the page."""

import time
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import FileResponse, Response

from beauty_rec.serving.http import schema
from beauty_rec.serving.http.operator import Operations, operations_of
from beauty_rec.serving.http.routes.responses import READ, Json, problems
from beauty_rec.serving.http.telemetry import Metrics
from beauty_rec.serving.state.engine import Engine

PAGE = Path(__file__).parents[1] / "page"


def add_operations(app: FastAPI, engine: Engine, metrics: Metrics) -> None:
    """Add the routes for operators, and the page."""
    few = problems()

    @app.get("/healthz", response_model=schema.Health, responses=few, tags=["operations"])
    async def healthz() -> Response:
        """Whether the process lives."""
        return Json({"status": "ok", "set": None, "database": None, "reasons": []})

    @app.get(
        "/readyz",
        response_model=schema.Health,
        responses={**few, 503: {"model": schema.Health, "description": "Not ready"}},
        tags=["operations"],
    )
    async def readyz() -> Response:
        """Whether everything works: a set is served and the database answers."""
        reasons = engine.ready
        health = {
            "status": "not ready" if reasons else "ready",
            "set": engine.shop.manifest.set,
            "set_age_s": round(engine.set_age_seconds, 1),
            "waiting_items": engine.waiting_items,
            "refusals": engine.refusals,
            "refuses_newest": engine.refused is not None,
            "rules": len(engine.rules),
            "refuses_rules": engine.rules.refused is not None,
            "database": engine.store.healthy,
            "reasons": reasons,
        }
        return Json(health, 503 if reasons else 200)

    @app.get("/version", response_model=schema.Version, responses=READ, tags=["operations"])
    async def version() -> Response:
        """The served set: versions of its parts, its indexes, its headline metrics."""
        shop = engine.shop
        given = shop.manifest.model_dump(include={"created_at", "parts", "indexes", "metrics"})
        orders = {"served": shop.path.orders.served, "reasons": shop.path.orders.reasons}
        counts = {"items": len(shop.catalogue), "added_items": len(shop.catalogue.added)}
        return Json({"version": shop.manifest.set, **given, **orders, **counts})

    @app.get(
        "/metrics",
        response_class=Response,
        responses={**READ, 200: {"content": {"text/plain": {}}, "description": "Metrics"}},
        tags=["operations"],
        name="metrics",
    )
    async def prometheus() -> Response:
        """Metrics in Prometheus' text format."""
        metrics.ready.set(not engine.ready)
        metrics.database.set(engine.store.healthy)
        metrics.items.set(len(engine.shop.catalogue))
        metrics.switches.set(engine.switches)
        metrics.refusals.set(engine.refusals)
        metrics.set_age.set(engine.set_age_seconds)
        metrics.look_age.set(time.monotonic() - engine.looked)
        metrics.rules.set(len(engine.rules))
        metrics.rules_refused.set(engine.rules.refused is not None)
        metrics.rules_refusals.set(engine.rules.refusals)
        metrics.served.clear()
        metrics.served.labels(engine.shop.manifest.set).set(1)
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/v1/operations", response_model=Operations, responses=READ, tags=["operations"])
    async def operations() -> Operations:
        """The state of the server in one answer, with the reasons of refusals; needs the key."""
        return operations_of(engine)

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(PAGE / "index.html", headers={"cache-control": "no-cache"})

    app.mount("/assets", StaticFiles(directory=PAGE), name="assets")
