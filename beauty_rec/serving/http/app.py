"""The HTTP API and the page."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from beauty_rec import tracing
from beauty_rec.recommender.online.feeds.question import FeedQuestion, UnfitFeed
from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.recommender.online.search import SearchQuestion
from beauty_rec.recommender.online.stock.columns import UnknownFilter
from beauty_rec.serving.http.document import add_document
from beauty_rec.serving.http.hosts import is_own
from beauty_rec.serving.http.middleware import Guard
from beauty_rec.serving.http.problems import add_handlers
from beauty_rec.serving.http.rate import Rate
from beauty_rec.serving.http.routes.answers import add_answers
from beauty_rec.serving.http.routes.experiment import add_experiment
from beauty_rec.serving.http.routes.feeds import add_feeds
from beauty_rec.serving.http.routes.items import add_items
from beauty_rec.serving.http.routes.operations import (
    add_inside,
    add_liveness,
    add_metrics,
    add_page,
    add_shops,
    add_state,
    registries_of,
)
from beauty_rec.serving.http.routes.people import add_people
from beauty_rec.serving.http.shops.several import AT, Shops, named_shop, shop_of
from beauty_rec.serving.http.shops.shop import Shop
from beauty_rec.serving.http.telemetry import Metrics
from beauty_rec.serving.http.traces import Traced, Turns
from beauty_rec.serving.http.turns.batching import Batcher
from beauty_rec.serving.http.turns.cost import Question, SeveralQuestions, SimilarQuestion, cost_of
from beauty_rec.serving.http.turns.one_by_one import OneByOne
from beauty_rec.serving.state.engine import Engine
from beauty_rec.serving.state.live_shop import UnknownItem
from beauty_rec.settings import Settings

Asked = tuple[Engine, Question]
"""A question and whom it is put to."""
WARM_HISTORY, WARM_CONTEXT = 50, 20
"""Past items, and repetitions of three words, of the questions that warm the models up."""


def create_app(engine: Engine) -> FastAPI:
    """Return the app of an engine, which the caller closes after it.

    The app looks for a newer manifest and after the database as long as it runs.
    """
    return create_shops_app([Shop(None, lambda: engine.settings, engine)], engine.settings)


def create_shops_app(listed: Sequence[Shop], given: Settings) -> FastAPI:
    """Return the app of shops, which the caller closes after it.

    Args:
        listed: the only one, whose name is None, or several; one of them at least is open.
        given: the settings of the server: addresses, keys, limits.
    """
    settings, shops = given.serve, Shops(listed)
    metrics = Metrics()
    rate = Rate(settings.requests_per_second)
    turns = Turns()
    adding = OneByOne()
    computing: set[int] = set()
    for shop in shops:
        shop.is_busy = lambda: bool(computing)

    def compute(asked: Sequence[Asked]) -> list[dict[str, Any] | Exception]:
        started = time.perf_counter()
        computing.add(threading.get_ident())
        try:
            with turns.computing([question for _, question in asked]):
                answers = _answer_shops(asked)
        finally:
            computing.discard(threading.get_ident())
        metrics.batch.observe(len(asked))
        metrics.compute.observe(time.perf_counter() - started)
        return answers

    async def computed(request: Request, question: Question) -> dict[str, Any]:
        client, engine = request.state.client, shop_of(request).engine
        cost = cost_of(question, engine.serve.diversity)
        rate.charge(client, cost - 1)  # one was taken at the door
        with turns.waiting(question):
            batcher = app.state.batcher
            answer: dict[str, Any] = await batcher.ask((engine, question), client, cost)
        return answer

    async def ask_all(request: Request, questions: Sequence[Question]) -> list[dict[str, Any]]:
        answers = [await computed(request, question) for question in questions]
        # Not before: nobody sees the first answers where a later question fails.
        for answer, question in zip(answers, questions, strict=True):
            shop_of(request).shown.note(answer, question, is_seen=not request.state.is_head)
            if answer is not answers[-1]:
                await asyncio.sleep(0)  # noting a long batch at once keeps all others waiting
        return answers

    async def ask(request: Request, question: Question) -> dict[str, Any]:
        return (await ask_all(request, [question]))[0]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        batcher = app.state.batcher = Batcher(compute, settings.max_batch, settings.max_waiting)
        for shop in shops:
            if shop.is_open:
                await _warm_up(batcher, min(settings.max_batch, settings.max_waiting), shop.engine)
        with ExitStack() as running:
            for shop in shops:
                running.enter_context(shop.watched(settings.poll_seconds))
            yield
        await asyncio.to_thread(batcher.close)
        await asyncio.to_thread(adding.close)

    app = FastAPI(
        title="beauty_rec",
        version="1",
        summary="Recommendations with their reasons, from one complete version of the pipeline.",
        lifespan=lifespan,
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        separate_input_output_schemas=False,
        redirect_slashes=False,
    )
    add_handlers(app)
    about = [] if shops.only else [Depends(named_shop)]
    router = APIRouter(prefix="/v1" if shops.only else AT, dependencies=about)
    add_answers(router, ask, ask_all)
    add_feeds(router, ask)
    add_items(router, ask, rate, adding)
    add_people(router, rate)
    add_experiment(router)
    add_inside(router)
    app.router.routes.extend(router.routes)
    add_liveness(app)
    state = APIRouter(prefix="" if shops.only else AT, dependencies=about)
    add_state(state)
    if not shops.only:
        add_shops(app, shops)
        add_metrics(state, lambda http: registries_of([shop_of(http)]))
    app.router.routes.extend(state.routes)
    add_metrics(app.router, lambda _: [(metrics.registry, None), *registries_of(shops)])
    add_page(app)
    add_document(app, is_own=is_own(settings.host))
    app.add_middleware(Guard, given=given, metrics=metrics, rate=rate, shops=shops)
    if tracing.tracing():
        app.add_middleware(Traced)
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["authorization", "content-type", "x-api-key", "x-request-id"],
            expose_headers=["x-request-id"],
        )
    return app


def _answer_shops(asked: Sequence[Asked]) -> list[dict[str, Any] | Exception]:
    """Answer questions to several engines; what is wrong with one of them spoils its own alone."""
    places: dict[Engine, list[int]] = {}
    for place, (engine, _) in enumerate(asked):
        places.setdefault(engine, []).append(place)
    if len(places) == 1:
        (engine,) = places
        return answer_all(engine, [question for _, question in asked])
    answers: dict[int, dict[str, Any] | Exception] = {}
    for engine, mine in places.items():
        answers.update(zip(mine, answer_all(engine, [asked[i][1] for i in mine]), strict=True))
    return [answers[i] for i in range(len(asked))]


def answer_all(engine: Engine, questions: Sequence[Question]) -> list[dict[str, Any] | Exception]:
    """Answer questions of any kind together, each kind in one pass.

    What cannot be answered has its exception in place of an answer.
    """
    answers: dict[int, dict[str, Any] | Exception] = {}
    for i, question in enumerate(questions):
        try:
            engine.check(question.filters)
        except UnknownFilter as error:
            answers[i] = error
    good = {i: q for i, q in enumerate(questions) if i not in answers}
    asked = {i: q for i, q in good.items() if isinstance(q, RecommendRequest)}
    sought = {i: q for i, q in good.items() if isinstance(q, SearchQuestion)}
    if asked:
        answers.update(zip(asked, engine.recommend(list(asked.values())), strict=True))
    if sought:
        answers.update(zip(sought, engine.search(list(sought.values())), strict=True))
    for i, question in good.items():
        if isinstance(question, SimilarQuestion):
            try:
                answers[i] = engine.similar(
                    question.parent_asin, question.k, question.by, question.filters
                )
            except UnknownItem as error:
                answers[i] = error
        elif isinstance(question, SeveralQuestions):
            given = [request.user_id for request in question.requests]
            found = engine.recommend(question.requests)
            named = [{**a, "user_id": user} for a, user in zip(found, given, strict=True)]
            answers[i] = {"answers": named}
        elif isinstance(question, FeedQuestion):
            try:
                answers[i] = engine.feed(question)
            except UnfitFeed as error:
                answers[i] = error
    return [answers[i] for i in range(len(questions))]


async def _warm_up(batcher: Batcher[Asked, dict[str, Any]], most: int, engine: Engine) -> None:
    """Ask a few long questions, so that the first user's answer is not the slow one."""
    known = engine.shop.space.ids[:WARM_HISTORY]
    for count in (1, min(2, most), most, most):
        asked = (
            RecommendRequest(history=list(known), context=f"warm up {i} " * WARM_CONTEXT, k=100)
            for i in range(count)
        )
        await asyncio.gather(*(batcher.ask((engine, request)) for request in asked))
