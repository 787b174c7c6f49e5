"""A small phrase grammar: ``[a|b|]`` chooses a branch, ``{x}`` is a slot.

>>> from random import Random
>>> render(parse("[Great|Good] for {mine}."), {"mine": "dry skin"}, Random(1))
'Great for dry skin.'
"""

import re
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from random import Random
from typing import TypeVar

T = TypeVar("T")
Part = str | tuple[str] | list["Phrase"]
Phrase = tuple[Part, ...]
"""Parts in order: plain text, the name of a slot (a 1-tuple), or a list of branches."""

_TOKEN = re.compile(r"[\[\]|]|\{\w+\}|[^\[\]|{}]+")


def parse(template: str) -> Phrase:
    """Parse a template.

    Raises:
        ValueError: a bracket stands alone.
    """
    stack: list[list[list[Part]]] = [[[]]]
    for token in _TOKEN.findall(template):
        if token == "[":
            stack.append([[]])
        elif token == "|" and len(stack) > 1:
            stack[-1].append([])
        elif token == "]":
            branches = [tuple(branch) for branch in stack.pop()]
            if not stack:
                raise ValueError(f"unopened ] in {template!r}")
            stack[-1][-1].append(branches)
        elif token[0] == "{":
            stack[-1][-1].append((token[1:-1],))
        else:
            stack[-1][-1].append(token)
    if len(stack) != 1:
        raise ValueError(f"unclosed [ in {template!r}")
    return tuple(stack[0][0])


def render(phrase: Phrase, slots: dict[str, str], random: Random) -> str:
    """Choose branches and fill slots.

    Raises:
        KeyError: a slot of the phrase is not in ``slots``.
    """
    out = []
    for part in phrase:
        if isinstance(part, str):
            out.append(part)
        elif isinstance(part, tuple):
            out.append(slots[part[0]])
        else:
            out.append(render(part[int(random.random() * len(part))], slots, random))
    return "".join(out)


def tidy(sentence: str) -> str:
    """Mend what an empty branch leaves, and begin with a capital."""
    sentence = " ".join(sentence.split()).replace(" .", ".").replace(" ,", ",")
    return sentence[:1].upper() + sentence[1:]


def pick(options: Sequence[T], random: Random) -> T:
    """Return one of the options, each alike."""
    return options[int(random.random() * len(options))]


@cache
def load_phrases() -> dict[str, list[Phrase]]:
    """Read ``phrases.toml`` once: the parsed templates by the name of their list."""
    text = resources.files(__package__).joinpath("phrases.toml").read_text(encoding="utf-8")
    return {name: [parse(t) for t in templates] for name, templates in tomllib.loads(text).items()}


@cache
def load_words() -> dict[str, list[str]]:
    """Read the lists of ``phrases.toml`` that are plain words (durations, persons, …)."""
    text = resources.files(__package__).joinpath("phrases.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text))
