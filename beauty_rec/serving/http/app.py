"""The HTTP API and the page."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from beauty_rec import tracing
from beauty_rec.recommender.online.feeds.question import FeedQuestion, UnfitFeed
from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.recommender.online.search import SearchQuestion
from beauty_rec.recommender.online.stock.columns import UnknownFilter
from beauty_rec.serving.http.experiment_view import REFRESH_SECONDS, ExperimentView
from beauty_rec.serving.http.middleware import Guard
from beauty_rec.serving.http.problems import add_handlers
from beauty_rec.serving.http.rate import Rate
from beauty_rec.serving.http.routes.answers import add_answers
from beauty_rec.serving.http.routes.experiment import add_experiment
from beauty_rec.serving.http.routes.feeds import add_feeds
from beauty_rec.serving.http.routes.items import add_items
from beauty_rec.serving.http.routes.operations import add_operations
from beauty_rec.serving.http.routes.people import add_people
from beauty_rec.serving.http.shown import ShownAnswers
from beauty_rec.serving.http.telemetry import Metrics
from beauty_rec.serving.http.traces import Traced, Turns
from beauty_rec.serving.http.turns.batching import Batcher
from beauty_rec.serving.http.turns.cost import Question, SeveralQuestions, SimilarQuestion, cost_of
from beauty_rec.serving.state.engine import Engine
from beauty_rec.serving.state.live_shop import UnknownItem
from beauty_rec.serving.state.watcher import watching

WARM_HISTORY, WARM_CONTEXT = 50, 20
"""Past items, and repetitions of three words, of the questions that warm the models up."""


def create_app(engine: Engine) -> FastAPI:
    """Return the app of an engine, which the caller closes after it.

    The app looks for a newer manifest and after the database as long as it runs.
    """
    settings = engine.settings.serve
    metrics = Metrics()

    rate = Rate(settings.requests_per_second)
    turns = Turns()
    computing: set[int] = set()
    shown = ShownAnswers(engine, lambda: bool(computing))
    view = ExperimentView(engine, shown.shadow)
    metrics.registry.register(shown)
    metrics.registry.register(view)

    def compute(questions: Sequence[Question]) -> list[dict[str, Any] | Exception]:
        started = time.perf_counter()
        computing.add(threading.get_ident())
        try:
            with turns.computing(questions):
                answers = answer_all(engine, questions)
        finally:
            computing.discard(threading.get_ident())
        metrics.batch.observe(len(questions))
        metrics.compute.observe(time.perf_counter() - started)
        return answers

    async def ask(request: Request, question: Question) -> dict[str, Any]:
        client, cost = request.state.client, cost_of(question)
        rate.charge(client, cost - 1)  # one was taken at the door
        with turns.waiting(question):
            answer: dict[str, Any] = await app.state.batcher.ask(question, client, cost)
        shown.note(answer, question, is_seen=not request.state.is_head)
        return answer

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        batcher = app.state.batcher = Batcher(compute, settings.max_batch, settings.max_waiting)
        known = engine.shop.space.ids[:WARM_HISTORY]
        await _warm_up(batcher, min(settings.max_batch, settings.max_waiting), known)
        engine.store.keep_open()
        await asyncio.to_thread(engine.look_at_experiment)
        with (
            watching(engine.look, settings.poll_seconds),
            watching(engine.look_at_rules, settings.poll_seconds),
            watching(engine.look_at_experiment, settings.poll_seconds),
            watching(view.refresh, REFRESH_SECONDS),
            shown.kept(),
        ):
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
        redirect_slashes=False,
    )
    add_handlers(app)
    add_answers(app, ask)
    add_feeds(app, ask)
    add_items(app, engine, ask, rate)
    add_people(app, engine, shown, rate)
    add_operations(app, engine, metrics)
    add_experiment(app, view)
    app.add_middleware(Guard, settings=settings, metrics=metrics, rate=rate)
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
