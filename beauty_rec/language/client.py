"""The client of the OpenAI chat-completions API: one question in, one answer out, retried."""

import email.utils
import time
from dataclasses import replace
from typing import Any

import httpx
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from beauty_rec.language.dialect import Completion, quoted, read_completion
from beauty_rec.language.endpoints import Endpoints, answer_of
from beauty_rec.language.errors import BadRequest, ServerProblem
from beauty_rec.language.task import Message, Task
from beauty_rec.language.usage import Usage
from beauty_rec.settings import LanguageSettings

CONNECT_TIMEOUT_S = 10.0
CHARS_PER_TOKEN = 4
"""About, of English: where a server does not count, a budget of tokens has to hold all the same."""
_BACKOFF = wait_random_exponential(multiplier=0.5, max=30)


class Transient(Exception):
    """A request failed on the server and may succeed when sent again."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class ChatClient:
    """Asks servers that are spelled out in the settings. Use it within one event loop."""

    def __init__(self, settings: LanguageSettings, usage: Usage) -> None:
        """Args:

        settings: addresses, model, key, bounds.
        usage: where requests and tokens are counted, and their budget is held.
        """
        self._settings = settings
        self._usage = usage
        self.endpoints = Endpoints(
            settings.base_urls, auth_headers(settings), settings.in_flight, settings.patience_s
        )
        self._timeout = httpx.Timeout(settings.timeout_s, connect=CONNECT_TIMEOUT_S)

    async def ask(self, task: Task, messages: list[Message]) -> Completion:
        """Return the model's answer to ``messages``; temperature 0, a fixed seed.

        Raises:
            BadRequest: the server refuses these messages.
            BudgetSpent: before the request, when the budget is used up.
            ServerProblem: the servers cannot be used at all; the message names the remedy.
            Transient: it failed ``attempts`` times.
        """
        payload = {
            "model": self._settings.model,
            "messages": messages,
            "response_format": task.response_format,
            "temperature": 0,
            "seed": self._settings.seed,
            "max_tokens": task.prompt.max_tokens,
        }
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._settings.attempts),
            wait=_wait,
            retry=retry_if_exception_type(Transient),
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                return await self._once(payload)
        raise AssertionError("tenacity ends with a return or a raise")

    async def close(self) -> None:
        """Close the connections."""
        await self.endpoints.close()

    async def _once(self, payload: dict[str, Any]) -> Completion:
        """Ask one server; go on to others while that is no fault of the request."""
        while True:
            async with self.endpoints.slot() as (endpoint, pool):
                self._usage.spend_request()
                sent = endpoint.dialect.request(payload)
                try:
                    answer = await answer_of(
                        pool, "POST", f"{endpoint.url}/chat/completions",
                        self._settings.timeout_s, json=sent, timeout=self._timeout,
                    )  # fmt: skip
                except (httpx.ConnectError, httpx.ConnectTimeout):
                    self._usage.unsent()
                    self.endpoints.lost(endpoint, "no connection")
                    continue
                except httpx.TimeoutException as error:
                    self.endpoints.failed(endpoint)
                    raise Transient(f"no answer in {self._settings.timeout_s:g} s") from error
                except httpx.TransportError as error:
                    self.endpoints.lost(endpoint, "connection lost")
                    raise Transient("connection lost") from error
                except httpx.RequestError as error:  # a body that is not encoded as its head says
                    self.endpoints.failed(endpoint)
                    raise Transient("an answer that cannot be read") from error
                if answer.status_code == 429:
                    said = quoted(answer, self._settings)
                    self.endpoints.pause(endpoint, retry_after_s(answer), said)
                    continue
                if answer.status_code >= 500 or answer.status_code in (408, 409, 425):
                    self.endpoints.failed(endpoint)
                    raise Transient(f"status {answer.status_code}", retry_after_s(answer))
                if endpoint.dialect.learn(answer, sent):
                    continue
                if answer.status_code != 200:
                    raise refusal(endpoint.url, answer, self._settings)
                try:
                    completion = read_completion(answer)
                except ValueError as error:
                    raise Transient(str(error)) from error
                self.endpoints.worked(endpoint)
                completion = _counted(completion, payload["messages"])
                self._usage.spend_tokens(completion.prompt_tokens, completion.completion_tokens)
                return completion


def _counted(completion: Completion, messages: list[Message]) -> Completion:
    """Return a completion with about the tokens that its server does not tell."""
    asked = sum(len(message["content"]) for message in messages)
    return replace(
        completion,
        prompt_tokens=completion.prompt_tokens or -(-asked // CHARS_PER_TOKEN),
        completion_tokens=completion.completion_tokens
        or -(-len(completion.text) // CHARS_PER_TOKEN),
    )


def auth_headers(settings: LanguageSettings) -> dict[str, str]:
    """Return the headers that carry the key, if there is one."""
    if settings.api_key is None:
        return {}
    return {"Authorization": f"Bearer {settings.api_key.get_secret_value()}"}


def refusal(
    url: str, answer: httpx.Response, settings: LanguageSettings
) -> ServerProblem | BadRequest:
    """Return the error that a refused request is, with its remedy.

    The body of a refused key is not quoted: some servers repeat part of the key in it.
    """
    if answer.status_code in (401, 403):
        fault = "is refused" if settings.api_key else "is wanted"
        return ServerProblem(
            f"{url}: a key {fault}; set BEAUTY_REC_LLM__API_KEY in the environment"
        )
    said = quoted(answer, settings)
    if answer.status_code == 404:
        return ServerProblem(
            f"{url}: no model {settings.model!r} or no such page ({said}); see: beauty-rec doctor"
        )
    if answer.status_code in (400, 413, 422):
        return BadRequest(f"status {answer.status_code}: {said}")
    return ServerProblem(f"{url}: unexpected status {answer.status_code}: {said}")


def retry_after_s(answer: httpx.Response) -> float | None:
    """Return the seconds of ``Retry-After`` (a number, or a date of RFC 9110); None without."""
    said = answer.headers.get("retry-after")
    if not said:
        return None
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, Transient) else None
    return max(_BACKOFF(state), min(asked or 0.0, 300.0))
