"""Is a language model server what the settings say? Each finding names its remedy."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from beauty_rec.language.answers import json_text
from beauty_rec.language.client import auth_headers
from beauty_rec.language.dialect import (
    ODD_ANSWERS,
    Completion,
    Dialect,
    excerpt,
    quoted,
    read_completion,
)
from beauty_rec.language.endpoints import answer_of, open_client
from beauty_rec.language.errors import BadAnswer, ServerProblem
from beauty_rec.settings import LanguageSettings

TIMEOUT_S = 10.0
MODELS_NAMED = 8
MAX_TOKENS = 256
"""Of the answer to the question: enough for a short thought before it."""
_WORDS = ["qx7", "vw3"]
_SCHEMA = {
    "type": "object",
    "properties": {"code": {"type": "string", "enum": _WORDS}},
    "required": ["code"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Found:
    """What one server is like; ``problem`` is None when all is well."""

    url: str
    problem: str | None
    kind: Literal["ok", "address", "key", "model", "structure", "server"] = "ok"


async def look(settings: LanguageSettings, url: str, *, ask: bool) -> Found:
    """Return what is wrong with a server, the first thing only.

    Args:
        settings: the model, the key.
        url: of the API, such as ``http://127.0.0.1:8000/v1``.
        ask: also ask the model a question that only structured output answers as wanted.
    """
    try:
        opened = open_client(url, headers=auth_headers(settings), timeout=TIMEOUT_S)
    except ServerProblem as error:
        return Found(url, str(error).removeprefix(f"{url}: "), "address")
    async with opened as client:
        try:
            listing = await answer_of(client, "GET", f"{url}/models", TIMEOUT_S)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            said = excerpt(f"{type(error).__name__}: {error}").rstrip(": ")
            return Found(
                url,
                f"nothing answers ({said}): start the server, or name it with "
                "--set llm.base_urls=http://HOST:PORT/v1",
                "address",
            )
        if listing.status_code in (401, 403):
            return Found(url, _key_problem(settings), "key")
        models = _models(listing)
        if models is None and (listing.status_code >= 500 or listing.status_code == 429):
            said = quoted(listing, settings)
            return Found(
                url,
                f"cannot answer (status {listing.status_code}: {said}): see its log, and wait",
                "address",
            )
        if models is None:
            hint = "" if url.endswith("/v1") else "; such addresses end in /v1 mostly"
            return Found(
                url,
                f"answers, but has no list of models (status {listing.status_code}: "
                f"{quoted(listing, settings)}){hint}: mend llm.base_urls",
                "address",
            )
        if settings.model not in models:
            names = ", ".join(models[:MODELS_NAMED]) or "none"
            return Found(
                url,
                f"has no model {settings.model!r} (it has: {names}): name one of them with "
                f"--set llm.model=NAME, or load it there (vLLM: vllm serve {settings.model}; "
                f"Ollama: ollama pull {settings.model})",
                "model",
            )
        return await _structure(settings, url, client) if ask else Found(url, None)


async def require_servers(settings: LanguageSettings) -> None:
    """See that every server is there, has the model and takes the key.

    Raises:
        ServerProblem: none is there, or one of those that are is not what the settings say.
    """
    found = await asyncio.gather(*(look(settings, url, ask=False) for url in settings.base_urls))
    wrong = [f for f in found if f.problem is not None and f.kind != "address"]
    if wrong or all(f.problem is not None for f in found):
        first = (wrong or found)[0]
        raise ServerProblem(f"{first.url} {first.problem}")


async def _structure(settings: LanguageSettings, url: str, client: httpx.AsyncClient) -> Found:
    question = {
        "model": settings.model,
        "messages": [{"role": "user", "content": "Say hello in two words."}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "probe", "schema": _SCHEMA, "strict": True},
        },
        "temperature": 0,
        "max_tokens": MAX_TOKENS,
    }
    dialect = Dialect()
    try:
        while True:
            sent = dialect.request(question)
            answer = await answer_of(
                client, "POST", f"{url}/chat/completions", settings.timeout_s,
                json=sent, timeout=settings.timeout_s,
            )  # fmt: skip
            if not dialect.learn(answer, sent):
                break
    except httpx.HTTPError as error:
        return Found(url, f"gives no answer ({type(error).__name__}): see its log", "server")
    if answer.status_code in (401, 403):
        return Found(url, _key_problem(settings), "key")
    said = quoted(answer, settings)
    if answer.status_code == 404:
        return Found(url, f"has no /chat/completions ({said}): mend llm.base_urls", "address")
    if not answer.is_success:
        return Found(
            url,
            f'fails on a question (status {answer.status_code}: "{said}"): mend what it says, or '
            "see its log",
            "server",
        )
    try:
        completion = read_completion(answer)
    except ValueError as error:
        return Found(url, f'{error}: "{said}"; mend llm.base_urls', "server")
    if _obeys(completion):
        return Found(url, None)
    if completion.truncated:
        return Found(
            url,
            f"comes to no answer within {MAX_TOKENS} tokens: switch the model's thinking off, or "
            "name another with --set llm.model=NAME",
            "structure",
        )
    return Found(
        url,
        "does not hold to response_format json_schema: use vLLM 0.6.4 or later (with "
        '--structured-outputs-config \'{"backend":"guidance"}\'), Ollama 0.5 or later, or a '
        f'model and server that support structured output (it said: "{excerpt(completion.text)}")',
        "structure",
    )


def _obeys(completion: Completion) -> bool:
    try:
        return json.loads(json_text(completion.text))["code"] in _WORDS
    except (*ODD_ANSWERS, BadAnswer):
        return False


def _models(listing: httpx.Response) -> list[str] | None:
    try:
        given: Any = listing.json()
        return (
            [excerpt(str(model["id"])) for model in given["data"]] if listing.is_success else None
        )
    except ODD_ANSWERS:
        return None


def _key_problem(settings: LanguageSettings) -> str:
    if settings.api_key is None:
        return "wants a key: set BEAUTY_REC_LLM__API_KEY in the environment"
    return (
        "refuses the key: set the right one as BEAUTY_REC_LLM__API_KEY in the environment (it is "
        "never kept in settings.json)"
    )
