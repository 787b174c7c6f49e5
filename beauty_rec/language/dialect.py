"""How one server wants to be asked, and how its answers are read.

All speak the chat-completions API, none quite the same: newer models refuse ``max_tokens`` or a
temperature, answers come as text, as parts, or in the field of the thoughts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from beauty_rec.artifacts import ODD_JSON
from beauty_rec.settings import LanguageSettings, redacted

MOST_TOKENS = 1 << 31
"""A server that says it counted more has counted nothing."""
EXCERPT = 200
"""Characters of a server's own words that are quoted."""

_INSTEAD: dict[str, str | None] = {
    "max_tokens": "max_completion_tokens",
    "temperature": None,
    "seed": None,
}
"""Fields that a server may do without, and what is sent in their place."""
_REFUSES = re.compile(
    r"unsupported|not (?:be )?support|unknown|unrecogni[sz]ed|unexpected|not (?:be )?permitted"
    r"|not (?:be )?allowed|deprecated|invalid (?:parameter|argument|field)|extra_forbidden",
    re.IGNORECASE,
)
ODD_ANSWERS = ODD_JSON
"""What reading an answer of any shape, depth and size may raise."""


@dataclass(frozen=True, slots=True)
class Completion:
    """The text of an answer; ``truncated``: it ran into the bound of tokens."""

    text: str
    truncated: bool
    prompt_tokens: int
    completion_tokens: int


@dataclass
class Dialect:
    """The fields of a request that one server refuses, learnt from its refusals."""

    refused: set[str] = field(default_factory=set)

    def request(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``payload`` in the fields that this server takes."""
        sent = {name: value for name, value in payload.items() if name not in self.refused}
        for name in self.refused & payload.keys():
            if (instead := _INSTEAD[name]) is not None:
                sent[instead] = payload[name]
        return sent

    def learn(self, answer: httpx.Response, sent: Mapping[str, Any]) -> bool:
        """Whether ``answer`` refuses a field of ``sent`` that later requests will not have."""
        if answer.status_code not in (400, 422) or not _REFUSES.search(answer.text):
            return False
        named = {n for n in _INSTEAD if n in sent and re.search(rf"\b{n}\b", answer.text)}
        self.refused |= named
        return bool(named)


def read_completion(answer: httpx.Response) -> Completion:
    """Return what a model said.

    Where it said nothing, its thoughts count: some servers put structured answers there.

    Raises:
        ValueError: the answer is no chat completion.
    """
    try:
        body = answer.json()
        choice = body["choices"][0]
        message, usage = choice["message"], body.get("usage")
        truncated = choice.get("finish_reason") == "length"
        text = _text(message.get("content"))
        if not text.strip() and not truncated:
            text = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
        tokens = [_count(usage, f"{kind}_tokens") for kind in ("prompt", "completion")]
    except ODD_ANSWERS as error:
        raise ValueError("the server's answer is no chat completion") from error
    return Completion(text, truncated, *tokens)


def quoted(answer: httpx.Response, settings: LanguageSettings) -> str:
    """Return a server's own words about a failure, in one short line without the key."""
    try:
        body = answer.json()
        error = body.get("error", body)
        words = error if isinstance(error, str) else error["message"]
    except ODD_ANSWERS:
        words = answer.text
    words = words if isinstance(words, str) else answer.text
    if answer.is_redirect:
        words = f"it leads on to {redacted(answer.headers.get('location', 'nowhere'))}"
    if settings.api_key is not None:
        words = words.replace(settings.api_key.get_secret_value(), "***")
    return excerpt(words)


def excerpt(words: str) -> str:
    """Return the head of ``words`` in one line, without what a terminal would obey."""
    printable = "".join(c if c.isprintable() else " " for c in words[: 4 * EXCERPT])
    return " ".join(printable.split())[:EXCERPT]


def _count(usage: Any, name: str) -> int:
    """Return a count of tokens; 0 where none is said: an answer is good without it."""
    found = usage.get(name) if isinstance(usage, dict) else None
    return found if isinstance(found, int) and 0 <= found < MOST_TOKENS else 0


def _text(content: Any) -> str:
    if isinstance(content, list):  # of parts
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""
