"""Finding a domain's values in text: phrases looked up by their first word, longest first."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

_LATIN = "a-z0-9ß-öø-ɏ"
_MARKED = "\u0900-\u0963\u0966-\u0eff\u1780-\u17d3"
"""Blocks of scripts whose vowels are marks, which are no letters to a pattern: Hindi to Khmer."""
_WORD = re.compile(rf"[{_LATIN}]+(?:/[0-9]+)?|(?:[^\W_{_LATIN}]|[{_MARKED}])+")
_OF_LETTERS = (7, 8, 9)
"""Classes of combining marks that make another letter of one, as か and が, and are no accents."""
_NEGATORS = frozenset({"no", "non", "not", "without", "zero", "never"})


def words(text: str) -> list[str]:
    """Return the lower-case words of ``text`` without accents, plurals made singular.

    Latin letters and those of other scripts are words apart.

    >>> words("Crème for dry Lips, SPF-50")
    ['creme', 'for', 'dry', 'lip', 'spf', '50']
    >>> words("설화수 Чистая SK-II神仙水")
    ['설화수', 'чистая', 'sk', 'ii', '神仙水']
    """
    if not text.isascii():
        marked = unicodedata.normalize("NFKD", text)
        plain = (c for c in marked if unicodedata.combining(c) in (0, *_OF_LETTERS))
        text = unicodedata.normalize("NFC", "".join(plain))
    text = text.lower().replace("'s ", " ").replace("'", "")
    return [_singular(word) for word in _WORD.findall(text)]


@lru_cache(maxsize=1 << 16)  # texts repeat their words
def _singular(word: str) -> str:
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("shes", "ches", "xes", "sses")):
        return word[:-2]
    return word[:-1]


@dataclass(frozen=True)
class Hit:
    """A value found: words ``start`` to ``end`` (exclusive) of the text tell it."""

    field: str
    value: str
    start: int
    end: int


class Lexicon:
    """Phrases of many fields, matched in one pass over a text's words.

    Built from ``{field: {value: phrases that tell it}}``.
    """

    def __init__(self, fields: Mapping[str, Mapping[str, list[str]]]) -> None:
        phrases: dict[tuple[str, ...], dict[str, str]] = {}
        for field, values in fields.items():
            for value, given in values.items():
                for phrase in given:
                    if key := tuple(words(phrase)):
                        phrases.setdefault(key, {}).setdefault(field, value)
        self._by_first: dict[str, list[tuple[tuple[str, ...], dict[str, str]]]] = {}
        for key in sorted(phrases, key=len, reverse=True):
            self._by_first.setdefault(key[0], []).append((key, phrases[key]))

    def find(self, tokens: list[str]) -> list[Hit]:
        """Return the hits of ``tokens`` (see :func:`words`), in the order of the text.

        A field's hits do not overlap; the longest phrase wins. What is denied ("paraben free",
        "no sulfates", "not for oily skin") is no hit, unless the whole phrase is listed itself.
        """
        hits: list[Hit] = []
        done: dict[str, int] = {}
        for start, token in enumerate(tokens):
            for phrase, given in self._by_first.get(token, ()):
                end = start + len(phrase)
                if len(phrase) > 1 and tuple(tokens[start:end]) != phrase:
                    continue
                for field, value in given.items():
                    if done.get(field, 0) <= start and not _denied(tokens, start, end):
                        hits.append(Hit(field, value, start, end))
                        done[field] = end
        return hits


def _denied(tokens: list[str], start: int, end: int) -> bool:
    before = tokens[max(0, start - 2) : start]
    return (
        (end < len(tokens) and tokens[end] == "free")
        or (bool(before) and before[-1] in _NEGATORS)
        or before in (["not", "for"], ["free", "of"], ["free", "from"])
    )
