"""The lexicon of the rules extractor, read from ``lexicon.toml`` into look-up tables."""

import tomllib
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources

from beauty_rec.keywords.tokens import tokenise

PERSON_GROUPS = frozenset({"gender", "family", "people", "age"})
"""Groups of WHO that are negated only by "not for …": "I don't think my son …" is about a son."""


@dataclass(frozen=True, slots=True)
class Keyword:
    """What a phrase of the lexicon stands for: as it is, and negated; None is nothing."""

    facet: str
    text: str | None
    negated: str | None = None
    person: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A phrase of the lexicon: keywords, a negation cue, or (neither) an idiom to step over."""

    words: list[str]
    keywords: tuple[Keyword, ...] = ()
    cue: bool = False
    trait: str = ""


@dataclass(frozen=True)
class Trait:
    """Adjectives of skin or hair, and the nouns they stand with."""

    nouns: frozenset[str]
    adjectives: dict[str, Keyword]
    stable: frozenset[str]


@dataclass(frozen=True)
class Lexicon:
    """Everything in ``lexicon.toml``.

    Attributes:
        version: of the file; part of an extractor's ``source``.
        index: first word of a phrase to its entries, longest first.
        traits: by name, ``skin`` and ``hair``.
        predicate_nouns: nouns of the traits, to the name of the trait.
        breaks: tokens that end the scope of a negation.
        words: the word lists for salient phrases, by name.
    """

    version: int
    index: dict[str, tuple[Entry, ...]]
    traits: dict[str, Trait]
    predicate_nouns: dict[str, str]
    breaks: frozenset[str]
    words: dict[str, frozenset[str]] = field(repr=False)


@cache
def load_lexicon() -> Lexicon:
    """Read the packaged lexicon (once).

    Raises:
        ValueError: a phrase has no words, or is both a keyword and a negation cue.
    """
    raw = tomllib.loads((resources.files(__package__) / "lexicon.toml").read_text("utf-8"))
    entries: dict[tuple[str, ...], Entry] = {}

    def add(
        phrase: str, *, cue: bool = False, trait: str = "", keyword: Keyword | None = None
    ) -> None:
        words = tuple(tokenise(phrase))
        known = entries.get(words)
        if not words or (known is not None and (cue or known.cue)):
            raise ValueError(f"lexicon.toml: {phrase!r} is empty or stands twice")
        keywords = known.keywords if known else ()
        if keyword and keyword not in keywords:
            keywords += (keyword,)
        entries[words] = Entry(list(words), keywords, cue, trait or (known.trait if known else ""))

    for cue in raw["negation"]["cues"]:
        add(cue, cue=True)
    for idiom in raw["negation"]["idioms"] + raw["ignore"]["phrases"]:
        add(idiom)
    for facet in ("who", "when", "why"):
        for group, members in raw[facet].items():
            for text, spec in members.items():
                spec = spec if isinstance(spec, dict) else {"words": spec}
                person = facet == "who" and group in PERSON_GROUPS
                keyword = Keyword(facet, text, spec.get("negated"), person)
                for phrase in [text] * spec.get("itself", True) + spec["words"]:
                    add(phrase, keyword=keyword)
                for phrase in spec.get("if_negated", ()):
                    add(phrase, keyword=replace(keyword, text=None))
    traits = {}
    for name, spec in raw["traits"].items():
        adjectives = {a: Keyword("who", text) for a, text in spec["adjectives"].items()}
        traits[name] = Trait(frozenset(spec["nouns"]), adjectives, frozenset(spec["stable"]))
        for adjective, keyword in adjectives.items():
            for noun in spec["nouns"]:
                add(f"{adjective} {noun}", keyword=keyword, trait=name)
    index: dict[str, list[Entry]] = {}
    for words in sorted(entries, key=lambda w: (-len(w), w)):
        index.setdefault(words[0], []).append(entries[words])
    return Lexicon(
        version=raw["version"],
        index={first: tuple(found) for first, found in index.items()},
        traits=traits,
        predicate_nouns={noun: name for name, trait in traits.items() for noun in trait.nouns},
        breaks=frozenset(raw["negation"]["breaks"]),
        words={name: frozenset(text.split()) for name, text in raw["phrases"].items()},
    )
