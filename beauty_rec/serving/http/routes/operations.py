"""Routes for operators, and the page."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.responses import FileResponse, Response

from beauty_rec.serving.http import schema
from beauty_rec.serving.http.operators.operations import Operations, operations_of
from beauty_rec.serving.http.routes.responses import READ, Json, problems
from beauty_rec.serving.http.shops.metrics import Together
from beauty_rec.serving.http.shops.several import Shops, shop_of
from beauty_rec.serving.http.shops.shop import Shop, ShopAway

PAGE = Path(__file__).parents[1] / "page"
FEW = problems()
Registries = Iterable[tuple[CollectorRegistry, str | None]]
"""Each with the shop that its metrics are labelled with, if any."""


def add_liveness(app: FastAPI) -> None:
    """Add the route that says whether the process lives."""

    @app.get("/healthz", response_model=schema.Health, responses=FEW, tags=["operations"])
    async def healthz() -> Response:
        """Whether the process lives."""
        return Json({"status": "ok", "set": None, "database": None, "reasons": []})


def add_state(router: APIRouter) -> None:
    """Add the routes that say how a shop stands."""

    @router.get(
        "/readyz",
        response_model=schema.Health,
        responses={**FEW, 503: {"model": schema.Health, "description": "Not ready"}},
        tags=["operations"],
    )
    async def readyz(http: Request) -> Response:
        """Whether everything works: a set is served and the database answers."""
        health = health_of(shop_of(http))
        return Json(health, 503 if health["reasons"] else 200)

    @router.get("/version", response_model=schema.Version, responses=READ, tags=["operations"])
    async def version(http: Request) -> Response:
        """The served set: versions of its parts, its indexes, its headline metrics."""
        shop = shop_of(http).engine.shop
        said = {"created_at", "parts", "indexes", "metrics", "measured"}
        given = shop.manifest.model_dump(include=said)
        orders = {"served": shop.path.orders.served, "reasons": shop.path.orders.reasons}
        until = datetime.fromtimestamp(shop.path.tower.as_of_ms / 1000, UTC)
        facts = {
            "statistics_until": until.isoformat(timespec="milliseconds"),
            "items": len(shop.catalogue),
            "added_items": len(shop.catalogue.added),
        }
        return Json({"version": shop.manifest.set, **given, **orders, **facts})


def add_inside(router: APIRouter) -> None:
    """Add the route of what only operators may know of a shop."""

    @router.get("/operations", response_model=Operations, responses=READ, tags=["operations"])
    async def operations(http: Request) -> Operations:
        """The state of the server in one answer, with the reasons of refusals; needs the key."""
        shop = shop_of(http)
        if shop.fault is not None:
            raise ShopAway(f"nothing is served: {shop.fault}")
        return operations_of(shop.engine)


def add_shops(app: FastAPI, shops: Shops) -> None:
    """Add the routes about several shops."""

    @app.get(
        "/readyz",
        response_model=schema.ShopsHealth,
        responses={**FEW, 503: {"model": schema.ShopsHealth, "description": "None is ready"}},
        tags=["operations"],
    )
    async def readyz() -> Response:
        """Whether every shop is ready, and which is not; 503 only when none is.

        A shop that is away must not take the others from their users.
        """
        found = {str(shop.name): health_of(shop) for shop in shops}
        away = {name: one["reasons"] for name, one in found.items() if one["reasons"]}
        status = "not ready" if len(away) == len(found) else "partly ready" if away else "ready"
        reasons = [f"{name}: {reason}" for name, listed in away.items() for reason in listed]
        health = {"status": status, "reasons": reasons, "shops": found}
        return Json(health, 503 if status == "not ready" else 200)

    @app.get(
        "/v1/shops",
        response_model=list[schema.ShopEntry],
        responses=READ,
        tags=["operations"],
        name="shops",
    )
    async def list_shops() -> Response:
        """The shops of this server."""
        found = [(shop, health_of(shop)) for shop in shops]
        return Json([{"shop": s.name, "status": h["status"], "set": h["set"]} for s, h in found])


def add_metrics(router: APIRouter, registries: Callable[[Request], Registries]) -> None:
    """Add the route of metrics: of the server with its shops, or of one shop."""

    @router.get(
        "/metrics",
        response_class=Response,
        responses={**READ, 200: {"content": {"text/plain": {}}, "description": "Metrics"}},
        tags=["operations"],
        name="metrics",
    )
    async def prometheus(http: Request) -> Response:
        """Metrics in Prometheus' text format."""
        found = generate_latest(Together(registries(http)))
        return Response(found, media_type=CONTENT_TYPE_LATEST)


def registries_of(shops: Iterable[Shop]) -> Iterator[tuple[CollectorRegistry, str | None]]:
    """Yield the registries of shops, as they stand now."""
    for shop in shops:
        shop.metrics.ready.set(not shop.ready)
        yield shop.metrics.always, shop.name
        if shop.is_open:
            shop.metrics.look(shop.engine)
            yield shop.metrics.registry, shop.name


def add_page(app: FastAPI) -> None:
    """Add the page."""

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(PAGE / "index.html", headers={"cache-control": "no-cache"})

    app.mount("/assets", StaticFiles(directory=PAGE), name="assets")


def health_of(shop: Shop) -> dict[str, Any]:
    """Return how a shop stands, as :class:`.schema.Health`."""
    reasons = shop.ready
    status = "not ready" if reasons else "ready"
    if not shop.is_open:
        return {"status": status, "set": None, "database": None, "reasons": reasons}
    engine = shop.engine
    running = engine.experiments.running
    return {
        "status": status,
        "set": engine.shop.manifest.set,
        "set_age_s": round(engine.set_age_seconds, 1),
        "waiting_items": engine.waiting_items,
        "refusals": engine.refusals,
        "refuses_newest": engine.refused is not None,
        "rules": len(engine.rules),
        "refuses_rules": engine.rules.refused is not None,
        "experiment": running.experiment.name if running is not None else None,
        "refuses_experiment": engine.experiments.refused is not None,
        "database": engine.store.healthy,
        "reasons": reasons,
    }
