"""Where the lexicon's phrases stand in a text, and which of them are negated.

Negation follows the idea of NegEx (Chapman et al. 2001, doi:10.1006/jbin.2001.1029): a cue reaches
over a few words, up to the end of its clause. Here it also ends at the first keyword it meets,
since "doesn't irritate my sensitive skin" denies the irritation and not the skin.
"""

from dataclasses import dataclass

from beauty_rec.keywords.lexicon import Entry, Keyword, Lexicon

REACH = 6
"""Tokens that a negation cue reaches over."""

# Between the adjectives of one noun.
_JOINTS = frozenset({",", "and", "or", "to", "/", "&", "but", "very", "super", "really"})
_OWNERS = frozenset({"my", "her", "his", "our", "their", "your"})
_COPULAS = frozenset({"is", "are", "was", "has", "tends", "being"})
# Between "my skin is" and the adjective.
_DEGREES = frozenset(
    """so very really super extremely quite pretty naturally already also both to be just a bit
    somewhat been mostly usually generally rather fairly incredibly more on the side""".split()  # noqa: SIM905
)
# "did not help with acne": after these a negation is a failure, not a benefit.
_EFFECTS = frozenset({"help", "work", "fix", "cure", "improve", "reduce", "stop", "cover", "tame"})
_FOR = frozenset({"for", "on", "with", "by", "to"})
# "not good for the kids": between the preposition and a person.
_FILL = frozenset({"my", "his", "her", "our", "your", "the", "a", "any", "all", "those", "people"})


@dataclass(slots=True)
class Match:
    """A phrase of the lexicon at ``tokens[start:end]``.

    ``void``: negated in a way that says nothing good ("did not help with acne").
    """

    start: int
    end: int
    keywords: tuple[Keyword, ...]
    cue: bool = False
    negated: bool = False
    void: bool = False


def find_matches(tokens: list[str], lexicon: Lexicon) -> list[Match]:
    """Return the matches from left to right, longest first, none overlapping; negation is set."""
    matches: list[Match] = []
    index = lexicon.index
    nouns = lexicon.predicate_nouns
    skip = 0
    cues = False
    for i, token in enumerate(tokens):
        if i < skip:
            continue
        if token in index:
            for entry in index[token]:
                size = len(entry.words)
                if size == 1 or tokens[i : i + size] == entry.words:
                    skip = i + size
                    if entry.trait:
                        _add_trait(tokens, i, entry, lexicon, matches)
                    else:
                        matches.append(Match(i, skip, entry.keywords, entry.cue))
                    cues = cues or entry.cue
                    break
        if token in nouns and skip <= i:
            skip = _add_predicate(tokens, i, nouns[token], lexicon, matches)
    if cues:
        _negate(tokens, matches, lexicon.breaks)
    return matches


def _add_trait(
    tokens: list[str], at: int, entry: Entry, lexicon: Lexicon, matches: list[Match]
) -> None:
    """Add "oily skin" and, before it, the adjectives of "dry, sensitive and oily skin"."""
    adjectives = lexicon.traits[entry.trait].adjectives
    keywords = list(entry.keywords)
    first = at
    j = at - 1
    while j >= 0 and at - j <= 8 and (tokens[j] in adjectives or tokens[j] in _JOINTS):
        if tokens[j] in adjectives:
            keywords.insert(0, adjectives[tokens[j]])
            first = j
        j -= 1
    while matches and matches[-1].start >= first:
        matches.pop()
    matches.append(Match(first, at + len(entry.words), tuple(keywords)))


def _add_predicate(
    tokens: list[str], at: int, name: str, lexicon: Lexicon, matches: list[Match]
) -> int:
    """Add the adjectives of "my skin is very dry and sensitive"; return where they end."""
    trait = lexicon.traits[name]
    if at == 0 or tokens[at - 1] not in _OWNERS or "".join(tokens[at + 1 : at + 2]) not in _COPULAS:
        return at
    keywords: list[Keyword] = []
    start = end = at + 2
    for j in range(at + 2, min(at + 10, len(tokens))):
        if tokens[j] in trait.stable:
            if not keywords:
                start = j
            keywords.append(trait.adjectives[tokens[j]])
            end = j + 1
        elif tokens[j] not in _DEGREES and tokens[j] not in _JOINTS:
            break
    if not keywords:
        return at
    matches.append(Match(start, end, tuple(keywords)))
    return end


def _negate(tokens: list[str], matches: list[Match], breaks: frozenset[str]) -> None:
    at = {m.start: m for m in matches}
    for cue in matches:
        if not cue.cue or cue.void:
            continue
        void = False
        j = cue.end
        limit = j + REACH
        while j < min(limit, len(tokens)):
            match = at.get(j)
            if match is None:
                if tokens[j] in breaks:
                    break
                void = void or tokens[j] in _EFFECTS
                j += 1
            elif match.cue:
                match.void = True  # "does not prevent", "not without"
                break
            elif not match.keywords or _spared(tokens, match):
                j = match.end
            else:
                match.negated = True
                match.void = void
                j = _continued(tokens, match.end, at)
                limit = j + 2


def _spared(tokens: list[str], match: Match) -> bool:
    """Whether ``match`` is a person who is not after "for": no negation means them."""
    if not all(k.person for k in match.keywords):
        return False
    j = match.start - 1
    while j > 0 and tokens[j] in _FILL:
        j -= 1
    return tokens[match.start] not in _FOR and (j < 0 or tokens[j] not in _FOR)


def _continued(tokens: list[str], end: int, at: dict[int, Match]) -> int:
    """Where the scope goes on after a negated keyword that ended at ``end``; past all if nowhere.

    "or" and "nor" carry it on; "and" and a comma only into another fault: "not greasy, sticky and
    moisturizing" denies two things.
    """
    j = end
    while j < len(tokens) and tokens[j] in (",", "and", "or", "nor", "/"):
        j += 1
    joints = tokens[end:j]
    if not joints or j == len(tokens):
        return len(tokens)
    follower = at.get(j)
    if "or" in joints or "nor" in joints or "/" in joints:
        return j
    if follower is not None and any(k.negated for k in follower.keywords):
        return j
    return len(tokens)
