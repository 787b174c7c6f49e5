"""Answers of a language model, believed only as far as they are checked."""

import json
import re
import unicodedata
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import BaseModel, BeforeValidator, StringConstraints, ValidationError

from beauty_rec.language.errors import BadAnswer

RULES_VERSION = 1
"""Of the rules of this file, by which stored answers were taken or given up; raised with a change
of them, which asks every text again, once. A change of an answer's schema does so by itself."""
MAX_ANSWER_CHARS = 20_000
Model = TypeVar("Model", bound=BaseModel)

_MARKUP = re.compile(r"[<>{}\[\]`\\‹›]|https?:|www\.|\*\*|__|&#?\w+;", re.IGNORECASE)
# Words about the prompt, not about a product: "prompt delivery" and "clear instructions" are said
# of products, so no lone word is refused.
_ABOUT_US = re.compile(
    r"""\b(?:system\s+(?:prompt|message|instruction)s?
      | (?:the|this|your|my|previous|above|prior|all)\s+(?:prompt|instructions?)\b
      | (?:ignor|disregard|forget|overrid)\w*\s+
        (?:the|all|any|previous|prior|above|your|instruction)\w*
      | (?:as\s+an?|i\s+am\s+an?|i'm\s+an?)\s+(?:ai|assistant|language\s+model|chatbot)
      | language\s+model | (?:large|ai)\s+model | chat\s?gpt | openai | json(?:\s+schema)?
      | (?:user|assistant|developer)\s+(?:message|turn|role|prompt) | delimiters?
      | i\s+(?:cannot|can't|am\s+unable\s+to|am\s+not\s+able\s+to) | i'm\s+sorry
      | (?:the|this)\s+review(?:er)?\s+(?:says|asks|tries|contains|does)
      | no\s+(?:information|keywords?|data)\s+(?:is\s+)?(?:given|provided|available|found)
      | not\s+(?:specified|mentioned|provided|stated)|unspecified)\b""",
    re.IGNORECASE | re.VERBOSE,
)


_THOUGHTS_OPEN = re.compile(r"<(?:think|thinking|thought|thoughts|reasoning)>", re.IGNORECASE)
_THOUGHTS_END = re.compile(r"</(?:think|thinking|thought|thoughts|reasoning)>", re.IGNORECASE)
_FENCE = re.compile(r"```[a-z0-9]*\s(.*)```", re.DOTALL | re.IGNORECASE)


def ascii_folded(text: str) -> str:
    """Return ``text`` with letters for accented ones and plain quotes: "crème" is "creme"."""
    text = text.replace("’", "'").replace("‘", "'").replace("–", "-").replace("—", "-")
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def _folded(value: Any) -> Any:
    return " ".join(ascii_folded(value).lower().split()) if isinstance(value, str) else value


# The length stands in the pattern: servers differ in how they combine a pattern with maxLength.
EnglishKeyword = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9 '%&+./-]{0,39}$"),
    BeforeValidator(_folded),
]
"""A keyword of at most 40 characters in lower case and plain letters."""


def read_answer(text: str, model: type[Model]) -> Model:
    """Return the checked answer.

    Raises:
        BadAnswer: ``text`` holds no JSON object of ``model``, repeats a key, or a string has
            markup, control characters or words about the prompt. The message never quotes it.
    """
    text = json_text(text)
    if len(text) > MAX_ANSWER_CHARS:
        raise BadAnswer(f"longer than {MAX_ANSWER_CHARS} characters")
    try:
        given = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise BadAnswer(f"no JSON{where}") from error
    if not isinstance(given, dict):
        raise BadAnswer("no JSON object")
    try:
        answer = model.model_validate(given)
    except ValidationError as error:
        # Locations may hold names that the answer made up.
        known = set(model.model_fields)
        places = {(str(f["loc"][0]) if f["loc"] else "", f["type"]) for f in error.errors()}
        said = sorted(f"{p if p in known else 'unknown field'}: {kind}" for p, kind in places)
        raise BadAnswer(f"breaks the schema ({'; '.join(said[:5])})") from error
    for value in _strings(answer.model_dump()):
        if _MARKUP.search(value):
            raise BadAnswer("markup in a string")
        if not value.isprintable():
            raise BadAnswer("control characters in a string")
        if _ABOUT_US.search(value):
            raise BadAnswer("words about the prompt")
    return answer


def json_text(text: str) -> str:
    """Return an answer without what models put around it: thoughts before, a fence about it.

    >>> json_text("<think>Hm.</think>\\n```json\\n{}\\n```")
    '{}'

    Raises:
        BadAnswer: there are thoughts only.
    """
    text = text.strip("\ufeff \t\r\n")
    if text.startswith("{"):
        return text
    thoughts = _THOUGHTS_OPEN.match(text)
    ends = [match.end() for match in _THOUGHTS_END.finditer(text)]
    if ends:
        text = text[ends[-1] :].strip()
    elif thoughts:
        raise BadAnswer("thoughts without an answer")
    if text.count("```") == 2:
        fence = _FENCE.search(text)
        text = fence[1].strip() if fence else text
    return text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is repeated")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for part in value for text in _strings(part)]
    return []
