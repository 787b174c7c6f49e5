"""Is a language model server what the settings say? Each finding names its remedy."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from beauty_rec.language.client import auth_headers
from beauty_rec.language.errors import ServerProblem
from beauty_rec.settings import LanguageSettings

TIMEOUT_S = 10.0
MODELS_NAMED = 8
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
    async with httpx.AsyncClient(headers=auth_headers(settings), timeout=TIMEOUT_S) as client:
        try:
            listing = await client.get(f"{url}/models")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Found(
                url,
                f"nothing answers ({type(error).__name__}): start the server, or name it with "
                "--set llm.base_urls=http://HOST:PORT/v1",
                "address",
            )
        if listing.status_code in (401, 403):
            return Found(url, _key_problem(settings), "key")
        models = _models(listing)
        if models is None:
            hint = "" if url.endswith("/v1") else "; such addresses end in /v1 mostly"
            return Found(
                url,
                f"answers, but has no list of models (status {listing.status_code}){hint}: mend "
                "llm.base_urls",
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
        "max_tokens": 64,
    }
    try:
        answer = await client.post(
            f"{url}/chat/completions", json=question, timeout=settings.timeout_s
        )
        said = answer.json()["choices"][0]["message"]["content"] if answer.is_success else None
    except httpx.HTTPError as error:
        return Found(url, f"gives no answer ({type(error).__name__}): see its log", "server")
    except (ValueError, KeyError, IndexError, TypeError):
        said = None
    if answer.status_code in (401, 403):
        return Found(url, _key_problem(settings), "key")
    if answer.status_code >= 500:
        return Found(
            url, f"fails on a question (status {answer.status_code}): see its log", "server"
        )
    if answer.status_code == 404:
        return Found(url, "has no /chat/completions: mend llm.base_urls", "address")
    try:
        obeyed = json.loads(said or "")["code"] in _WORDS
    except (ValueError, KeyError, TypeError):
        obeyed = False
    if obeyed:
        return Found(url, None)
    return Found(
        url,
        "does not hold to response_format json_schema: use vLLM 0.6.4 or later (with "
        '--structured-outputs-config \'{"backend":"guidance"}\'), Ollama 0.5 or later, or a '
        "model and server that support structured output",
        "structure",
    )


def _models(listing: httpx.Response) -> list[str] | None:
    try:
        told: Any = listing.json()
        return [str(model["id"]) for model in told["data"]] if listing.is_success else None
    except (ValueError, KeyError, TypeError):
        return None


def _key_problem(settings: LanguageSettings) -> str:
    if settings.api_key is None:
        return "wants a key: set BEAUTY_REC_LLM__API_KEY in the environment"
    return (
        "refuses the key: set the right one as BEAUTY_REC_LLM__API_KEY in the environment (it is "
        "never kept in settings.json)"
    )
