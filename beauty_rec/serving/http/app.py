"""The HTTP API and the page."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path as FilePath
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Path, Query, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import FileResponse, Response

from beauty_rec.recommender.online import requests
from beauty_rec.recommender.online.catalogue import Filters
from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.recommender.online.search import SearchQuestion
from beauty_rec.serving.http import schema
from beauty_rec.serving.http.batching import Batcher
from beauty_rec.serving.http.middleware import Guard
from beauty_rec.serving.http.problems import MEDIA_TYPE, add_handlers
from beauty_rec.serving.http.telemetry import Metrics
from beauty_rec.serving.state.engine import Engine
from beauty_rec.serving.state.threads import in_passing
from beauty_rec.serving.state.watcher import watching

PAGE = FilePath(__file__).parent / "page"
Question = RecommendRequest | SearchQuestion


class Json(Response):
    """An answer that is plain values already."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    every = {400, 421, 429, 500, 503, 504}
    return {
        status: {
            "model": schema.Problem,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            "description": "Problem",
        }
        for status in sorted(every | set(statuses))
    }


READ = _problems(401, 403, 413, 408, 422)
ITEM = _problems(401, 403, 404, 413, 408, 422)
WRITE = _problems(401, 403, 404, 413, 408, 422)
ItemId = Annotated[
    str,
    Path(min_length=1, max_length=200, pattern=requests.Plain, examples=["B0007FKCV5"]),
]
K = Annotated[int, Query(ge=1, le=requests.MAX_K)]

WARM_HISTORY, WARM_CONTEXT = 50, 20
"""Past items, and repetitions of three words, of the questions that warm the models up."""


def create_app(engine: Engine) -> FastAPI:
    """Return the app of an engine, which the caller closes after it.

    The app looks for a newer manifest and after the database as long as it runs.
    """
    settings = engine.settings.serve
    metrics = Metrics()

    def compute(questions: Sequence[Question]) -> list[dict[str, Any]]:
        started = time.perf_counter()
        answers: dict[int, dict[str, Any]] = {}
        asked = {i: q for i, q in enumerate(questions) if isinstance(q, RecommendRequest)}
        sought = {i: q for i, q in enumerate(questions) if isinstance(q, SearchQuestion)}
        if asked:
            answers.update(zip(asked, engine.recommend(list(asked.values())), strict=True))
        if sought:
            answers.update(zip(sought, engine.search(list(sought.values())), strict=True))
        metrics.batch.observe(len(questions))
        metrics.compute.observe(time.perf_counter() - started)
        return [answers[i] for i in range(len(questions))]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        batcher = app.state.batcher = Batcher(compute, settings.max_batch, settings.max_waiting)
        known = engine.shop.space.ids[:WARM_HISTORY]
        await _warm_up(batcher, min(settings.max_batch, settings.max_waiting), known)
        engine.store.keep_open()
        with watching(engine.look, settings.poll_seconds):
            yield
        await asyncio.to_thread(batcher.close)

    app = FastAPI(
        title="beauty_rec",
        version="1",
        summary="Recommendations with their reasons, from one complete version of the pipeline.",
        lifespan=lifespan,
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    add_handlers(app)
    _add_answers(app, engine)
    _add_operations(app, engine, metrics)
    app.add_middleware(Guard, settings=settings, metrics=metrics)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["content-type", "x-api-key", "x-request-id"],
            expose_headers=["x-request-id"],
        )
    return app


async def _warm_up(
    batcher: Batcher[Question, dict[str, Any]], most: int, history: Sequence[str]
) -> None:
    """Ask a few long questions, so that the first user's answer is not the slow one."""
    for count in (1, min(2, most), most, most):
        asked = (
            RecommendRequest(history=list(history), context=f"warm up {i} " * WARM_CONTEXT, k=100)
            for i in range(count)
        )
        await asyncio.gather(*(batcher.ask(request) for request in asked))


def _add_answers(app: FastAPI, engine: Engine) -> None:
    """The API's own routes."""

    @app.post(
        "/v1/recommend", response_model=schema.Recommendations, responses=READ, tags=["answers"]
    )
    async def recommend(request: RecommendRequest) -> Response:
        """Recommend items to a shopper, known by id or described here."""
        return Json(await app.state.batcher.ask(request))

    @app.get("/v1/search", response_model=schema.Hits, responses=READ, tags=["answers"])
    async def search(
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
        return Json(await app.state.batcher.ask(SearchQuestion(q, k, filters, order)))

    @app.get(
        "/v1/items/{parent_asin}", response_model=schema.ItemDetail, responses=ITEM, tags=["items"]
    )
    async def item(parent_asin: ItemId) -> Response:
        """One item with all that is known of it."""
        return Json(engine.item(parent_asin))

    @app.get(
        "/v1/items/{parent_asin}/similar",
        response_model=schema.Hits,
        responses=ITEM,
        tags=["items"],
    )
    async def similar(parent_asin: ItemId, k: K = 10, by: requests.SimilarBy = "text") -> Response:
        """Items whose texts are nearest to this one's, or that are taken together with it."""
        return Json(await asyncio.to_thread(in_passing, engine.similar, parent_asin, k, by))

    @app.post("/v1/items", response_model=schema.Stored, responses=WRITE, tags=["items"])
    async def put_items(given: schema.NewItems) -> Response:
        """Add or replace items; they are found at once, and after a restart."""
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


def _add_operations(app: FastAPI, engine: Engine, metrics: Metrics) -> None:
    """Routes for operators, and the page."""
    few = _problems()

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
        metrics.served.clear()
        metrics.served.labels(engine.shop.manifest.set).set(1)
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return FileResponse(PAGE / "index.html", headers={"cache-control": "no-cache"})

    app.mount("/assets", StaticFiles(directory=PAGE), name="assets")
