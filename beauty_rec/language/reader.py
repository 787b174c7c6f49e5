"""Reads any number of texts with a language model, in constant memory, each text once.

>>> # doctest: +SKIP
>>> with Reader(settings.llm, settings.data_dir / "language") as reader:
...     usage = reader.read(questions, total=len(reviews), label="keywords")
...     answer = reader.answer(question)
"""

import asyncio
import threading
import time
import uuid
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import BaseModel
from tqdm import tqdm

from beauty_rec.language.answer_store import AnswerStore, Asked
from beauty_rec.language.answers import read_answer
from beauty_rec.language.client import ChatClient, Transient
from beauty_rec.language.errors import BadAnswer, BadRequest, Stopped, TooManyRefused
from beauty_rec.language.probe import require_servers
from beauty_rec.language.task import Question
from beauty_rec.language.usage import Usage
from beauty_rec.language.vllm_server import VllmServer
from beauty_rec.settings import LanguageSettings

BREATHE_EVERY = 64
"""Questions found in the store before other workers get their turn."""
LEAST_ASKED = 50
"""The share of failures is taken of at least so many."""


class Reader:
    """Asks what the store does not know, and hands out what it knows."""

    def __init__(self, settings: LanguageSettings, folder: Path) -> None:
        """Args:

        settings: which model, where, and the bounds.
        folder: holds ``answers.sqlite`` and the log of a server that is started.
        """
        self.settings = settings
        self._folder = folder
        self.store = AnswerStore(folder / "answers.sqlite")

    def __enter__(self) -> "Reader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.store.close()

    def read(self, questions: Iterable[Question], total: int | None, label: str) -> Usage:
        """See to it that every question has been asked; return what that cost.

        Questions are taken one by one, ``in_flight`` a server at once; answers go to the store. A
        server is started or connected to only when there is something to ask.

        Args:
            questions: any number of them.
            total: how many, for the progress bar.
            label: of the progress bar.

        Raises:
            Stopped: the budget is spent, or too many answers fail; answers so far are kept.
            ServerProblem: the servers cannot be used; the message names the remedy.
        """
        usage = Usage(self.settings.max_requests, self.settings.max_tokens)
        with tqdm(total=total, desc=label, unit="text", disable=None) as bar:
            reading = _Reading(self.settings, self.store, self._folder, usage, bar)
            try:
                _run(reading.all(iter(questions)))
            except Stopped as stop:
                usage.stop_clock()
                stop.args = (f"{stop}; {_so_far(usage)}",)
                raise
            finally:
                usage.stop_clock()
        return usage

    def answer(self, question: Question) -> BaseModel | None:
        """Return the stored answer, or None where there is none that could be used."""
        stored = self.store.get(question.key(self.settings.model, self.settings.seed))
        if stored is None or stored.status != "answered":
            return None
        return question.task.answer_model.model_validate_json(stored.answer)


class _Reading:
    """One call of :meth:`Reader.read`: workers that share an iterator of questions."""

    def __init__(
        self,
        settings: LanguageSettings,
        store: AnswerStore,
        folder: Path,
        usage: Usage,
        bar: "tqdm[Any]",
    ) -> None:
        self._settings = settings
        self._store = store
        self._folder = folder
        self._usage = usage
        self._bar = bar
        self._run = uuid.uuid4().hex[:12]
        self._in_flight: set[bytes] = set()
        self._stop: Stopped | None = None
        self._client: ChatClient | None = None
        self._opening = asyncio.Lock()

    async def all(self, questions: Iterator[Question]) -> None:
        count = self._settings.in_flight * len(self._settings.base_urls)
        async with AsyncExitStack() as stack:
            workers = [asyncio.create_task(self._work(questions, stack)) for _ in range(count)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        if self._stop is not None:
            raise self._stop

    async def _work(self, questions: Iterator[Question], stack: AsyncExitStack) -> None:
        known = 0
        for question in questions:
            if self._stop is not None:
                return
            self._usage.questions += 1
            key = question.key(self._settings.model, self._settings.seed)
            if self._has_to_be_asked(key):
                self._in_flight.add(key)
                try:
                    client = self._client or await self._open(stack)
                    await self._ask(client, question, key)
                except Stopped as stop:  # those in flight come to their end and are kept
                    self._stop = self._stop or stop
                    return
                finally:
                    self._in_flight.discard(key)
                self._stop = self._stop or self._too_many_refused()
            elif (known := known + 1) % BREATHE_EVERY == 0:
                await asyncio.sleep(0)
            self._bar.update()

    def _has_to_be_asked(self, key: bytes) -> bool:
        usage = self._usage
        if key in self._in_flight:
            usage.repeated += 1
            return False
        stored = self._store.get(key)
        if stored is None:
            return True
        if stored.run == self._run:
            usage.repeated += 1
        elif stored.status == "answered":
            usage.cached += 1
        elif stored.tries >= self._settings.max_tries:
            usage.given_up += 1
        else:
            return True
        return False

    async def _open(self, stack: AsyncExitStack) -> ChatClient:
        """Start or find the servers, once; the other workers wait."""
        async with self._opening:
            if self._client is None:
                given = self._settings
                if given.serve:
                    server = VllmServer(given, self._folder / "vllm.log")
                    stack.callback(server.stop)
                    # In a thread: it takes minutes, and a cancellation has to get through.
                    began = time.perf_counter()
                    given = await asyncio.to_thread(server.start)
                    self._usage.server_started(began)
                await require_servers(given)
                client = ChatClient(given, self._usage)
                stack.push_async_callback(client.close)
                self._client = client
            return self._client

    async def _ask(self, client: ChatClient, question: Question, key: bytes) -> None:
        """Ask, check, ask once more where the answer is refused; keep what came of it."""
        usage = self._usage
        prompt_tokens = completion_tokens = 0
        fault: str | None = None
        for repairing in (False, True):
            try:
                given = await client.ask(question.task, question.messages(fault))
            except (Transient, BadRequest) as error:
                fault = str(error)
                break
            prompt_tokens += given.prompt_tokens
            completion_tokens += given.completion_tokens
            try:
                if given.truncated:
                    raise BadAnswer("cut off, too long")
                answer = read_answer(given.text, question.task.answer_model)
            except BadAnswer as error:
                fault = str(error)
                continue
            asked = self._asked(question, prompt_tokens, completion_tokens)
            self._store.answered(key, answer.model_dump_json(), asked)
            usage.answered += 1
            usage.repaired += repairing
            self._show()
            return
        reason = fault or "no answer"
        self._store.failed(key, reason, self._asked(question, prompt_tokens, completion_tokens))
        usage.quarantine(reason)

    def _asked(self, question: Question, prompt_tokens: int, completion_tokens: int) -> Asked:
        label = question.task.prompt.label
        return Asked(label, self._settings.model, self._run, prompt_tokens, completion_tokens)

    def _too_many_refused(self) -> TooManyRefused | None:
        failed, asked = self._usage.quarantined, self._usage.quarantined + self._usage.answered
        limit = self._settings.max_quarantined_share
        if failed <= limit * max(asked, LEAST_ASKED):
            return None
        worst = max(self._usage.reasons, key=lambda reason: self._usage.reasons[reason])
        return TooManyRefused(
            f"{failed} of {asked} answers failed, more than llm.max_quarantined_share = {limit:g} "
            f"(most often: {worst})"
        )

    def _show(self) -> None:
        usage = self._usage
        if usage.answered % 16 == 0:
            self._bar.set_postfix(
                requests=usage.requests,
                cached=usage.cached,
                repaired=usage.repaired,
                failed=usage.quarantined,
                refresh=False,
            )


def _so_far(usage: Usage) -> str:
    done = usage.answered + usage.cached + usage.repeated
    return (
        f"stopped after {usage.requests} requests and {usage.tokens} tokens, {done} texts are "
        "answered and kept: run again to go on"
    )


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run to the end; in a thread of its own where an event loop runs already (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(coroutine)
        return
    raised: list[BaseException] = []

    def work() -> None:
        try:
            asyncio.run(coroutine)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
