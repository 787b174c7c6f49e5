"""Cleaning of review and product text.

`clean_text` is the definition; `clean_column` gives the same for a Polars column and spends
Python time only on the rows that need it.

>>> clean_text("Smells <b>great</b>.<br />My son&amp;#39;s  skin\\u200b is soft")
"Smells great . My son's skin is soft"
"""

import html
import re
import unicodedata
from html.entities import html5

import polars as pl

_MAX_ENTITY_ROUNDS = 8
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
# A tag may hold "<": `<a <b>>` is then gone after one pass, and no second tag can form.
_TAG = re.compile(r"<(?:[a-zA-Z!]|/[a-zA-Z])[^>]*>")
# Amazon's own markers: [[VIDEOID:1a2b]] and [[ASIN:B00X Name of the product]].
_MARKER = re.compile(r"\[\[(?:VIDEOID|ASIN):\w*")

_COMPOSED = (  # marks, Korean letters, and what Unicode writes otherwise
    r"\p{M}\x{374}\x{37E}\x{387}\x{958}-\x{95F}\x{9DC}-\x{9DF}\x{A33}-\x{A5E}\x{B5C}\x{B5D}"
    r"\x{F43}-\x{FB9}\x{1100}-\x{11FF}\x{1F71}-\x{1FFD}\x{2126}-\x{212B}\x{2329}\x{232A}"
    r"\x{2ADC}\x{F900}-\x{FAFF}\x{FB1D}-\x{FB4E}\x{1D15E}-\x{1D1C0}\x{2F800}-\x{2FA1D}"
)
_NEEDS_PYTHON = rf"[<&]|\[\[|[\p{{Cc}}\p{{Cf}}{_COMPOSED}]|[^\S ]"
"""Matches every string that `clean_text` changes in more than its blanks (and a few others)."""


def clean_text(raw: str) -> str:
    """Return ``raw`` as plain text: no tags, entities, control or zero-width characters.

    Entities are decoded until none is left, so that ``&amp;lt;`` is read too; runs of white space
    become one blank; "<3" and "a < b" stay. Letters are composed (Unicode's form C), so that a word
    is one word however it was typed. Idempotent, and linear in the length of ``raw``.
    """
    text = _decode(raw)
    text = _strip_tags(text)
    if "[[" in text and _MARKER.search(text):
        text = _MARKER.sub(" ", text).replace("]]", " ")
    return " ".join(text.split())


def clean_column(raw: pl.Series) -> pl.Series:
    """Return a String column cleaned by `clean_text`; nulls stay null, the name is kept."""
    # Double blanks are the most frequent dirt: a quarter of all reviews.
    column = raw.str.replace_all(" {2,}", " ").str.strip_chars(" ")
    rows = raw.str.contains(_NEEDS_PYTHON).fill_null(False).arg_true()
    if rows.is_empty():
        return column
    cleaned = pl.Series([clean_text(text) for text in raw.gather(rows)], dtype=pl.String)
    return column.scatter(rows, cleaned)


def _decode(text: str) -> str:
    """Decode entities, drop invisible characters and compose letters until nothing is left to do.

    Each may make work for the others: a Greek question mark is composed into a semicolon.
    """
    for _ in range(_MAX_ENTITY_ROUNDS):
        text = _composed(text)
        if "&" not in text:
            return text
        decoded = _ENTITY.sub(_entity, text)
        if decoded == text:
            return text
        text = decoded
    # Nested deeper than any honest text: without an ampersand there is nothing left to decode.
    return _composed(text).replace("&", " ")


def _composed(text: str) -> str:
    if not text.isprintable():
        text = "".join([_visible(c) for c in text])
    return unicodedata.normalize("NFC", text)


def _entity(match: re.Match[str]) -> str:
    token = match.group()
    if token[1] == "#":
        return html.unescape(token)
    return html5.get(token[1:], token)


def _visible(character: str) -> str:
    if character.isprintable() or character == " ":
        return character
    category = unicodedata.category(character)
    if category in ("Cf", "Cs"):  # zero-width and direction marks, soft hyphens, half pairs
        return ""
    return " " if category == "Cc" else character


def _strip_tags(text: str) -> str:
    end = text.rfind(">") + 1
    if not end or "<" not in text:
        return text
    # Beyond the last ">" no tag can end; looking there would cost time in the square of its length.
    return _TAG.sub(" ", text[:end]) + text[end:]
