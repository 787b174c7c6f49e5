"""Why a row is refused, as a short stable `field: problem`, so that rows can be counted by it."""

import json
import re
from typing import Any

from pydantic import ValidationError

EXCERPT_CHARS = 500

NOT_UTF8 = "line: not UTF-8"
NOT_JSON = "line: not JSON"
NOT_AN_OBJECT = "line: not a JSON object"
TOO_LONG = "line: too long"
UNPAIRED = "line: unpaired surrogate"
TOO_DEEP = "line: nested too deep, or a number too long"

_PROBLEMS = {
    "missing": "missing",
    "string_too_short": "empty",
    "string_too_long": "too long",
    "string_pattern_mismatch": "control characters",
    "id_fault": "a path segment . or ..",
    "string_type": "not a string",
    "string_unicode": "not Unicode",
    "float_type": "not a number",
    "int_type": "not an integer",
    "int_from_float": "not an integer",
    "bool_type": "not true or false",
    "list_type": "not a list",
    "dict_type": "not an object",
}
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_REQUIRED = ("user_id", "parent_asin", "timestamp", "rating")


def reason_of(error: ValidationError, line: bytes) -> str:
    """Return the reason of the first fault of ``line``, in the order of the model's fields."""
    first = error.errors(include_url=False, include_context=False)[0]
    kind, value = first["type"], first["input"]
    if kind == "json_invalid":
        return _unreadable(line)
    if not first["loc"]:
        return NOT_AN_OBJECT
    field = str(first["loc"][0])
    if value is None and field in _REQUIRED:
        return f"{field}: missing"
    if kind in ("greater_than_equal", "less_than_equal", "less_than"):
        return f"{field}: {_out_of_bounds(field, value)}"
    if len(first["loc"]) > 1:
        return f"{field}: not a list of strings"
    return f"{field}: {_PROBLEMS.get(kind, kind)}"


def excerpt_of(line: bytes) -> str:
    """Return the first 500 characters; bytes that are not UTF-8 show as U+FFFD."""
    # No character takes more than 4 bytes; a long line is not decoded as a whole.
    return line[: 4 * EXCERPT_CHARS].decode("utf-8", errors="replace")[:EXCERPT_CHARS]


def _unreadable(line: bytes) -> str:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return NOT_UTF8
    try:
        json.loads(text, parse_int=str)  # which takes half a pair, as the grammar of JSON does
    except (ValueError, RecursionError):
        return NOT_JSON
    return UNPAIRED if _SURROGATE.search(line) else TOO_DEEP


def _out_of_bounds(field: str, value: Any) -> str:
    if field == "rating":
        return "not in 1..5"
    return "negative" if value < 0 else "too large"
