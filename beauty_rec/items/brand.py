"""The brand of an item, cross-checked with its title: ``store`` may name a reseller.

A title mostly begins with the brand. A name that stands in the item's own title is trusted; a
store that names none of its items' titles is a reseller; a title without either is compared with
the names that other titles begin with.

Names are compared by their stems ("Burt's Bees" is "Burts Bee"), and told as they are written.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from beauty_rec.items.phrase_finder import words
from beauty_rec.keywords.schema import normalise

MAX_BRAND_WORDS = 3
RESELLER_ITEMS = 3
MAX_BRAND_CHARS = 100
"""A longer name is none: some metadata lists hundreds of authors as the store."""
_EDGES = ' ,;:|/()[]{}*®™"-–—'


@dataclass(frozen=True)
class BrandClues:
    """What metadata says: the title, and the names it states, the best first (may be empty)."""

    title: str
    stated: Sequence[str]


def find_brands(clues: Sequence[BrandClues], common: set[str]) -> list[str | None]:
    """Return the brand of each item, lower case, or None.

    One brand is written one way: as it is stated most often, or as it stands in most of the titles
    that begin with a name which nobody states.

    Args:
        clues: one per item.
        common: words that no brand is made of alone (the lexicon's single words).
    """
    titles = [words(clue.title) for clue in clues]
    said = Counter(raw for clue in clues for raw in clue.stated)  # most names are of many items
    named = {raw: tuple(words(raw)) for raw in said if len(raw) <= MAX_BRAND_CHARS}
    stated = [[name for raw in clue.stated if (name := named.get(raw))] for clue in clues]
    written: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for raw, name in named.items():
        written[name][normalise(raw)] += said[raw]
    given: Counter[tuple[str, ...]] = Counter()
    confirmed: Counter[tuple[str, ...]] = Counter()
    for title, names in zip(titles, stated, strict=True):
        for name in dict.fromkeys(names):
            given[name] += 1
            confirmed[name] += _stands_in(name, title)
    leading = _leading_names(titles, common)
    chosen = [
        _choose(title, names, given, confirmed, leading)
        for title, names in zip(titles, stated, strict=True)
    ]
    for clue, found in zip(clues, chosen, strict=True):
        if found is not None and found not in given:
            written[found][_as_written(clue.title, found)] += 1
    best = {n: min(forms, key=lambda form: (-forms[form], form)) for n, forms in written.items()}
    return [None if found is None else best[found] for found in chosen]


def _choose(
    title: list[str],
    names: list[tuple[str, ...]],
    given: Counter[tuple[str, ...]],
    confirmed: Counter[tuple[str, ...]],
    leading: set[tuple[str, ...]],
) -> tuple[str, ...] | None:
    for name in names:
        if _stands_in(name, title):
            return name
    for size in range(MAX_BRAND_WORDS, 0, -1):
        lead = tuple(title[:size])
        if len(lead) == size and _is_short(lead) and (lead in leading or confirmed[lead] > 0):
            return lead
    for name in names:
        # Stated often and never in a title: the name of a shop, not of a maker.
        if confirmed[name] > 0 or given[name] < RESELLER_ITEMS or names.count(name) > 1:
            return name
    return None


def _as_written(title: str, lead: tuple[str, ...]) -> str:
    """Return the first words of a title, of which ``lead`` are the stems, as they stand there."""
    parts = title.lower().split()
    found: list[str] = []
    for count, part in enumerate(parts, 1):
        found += words(part + " ")
        if tuple(found) == lead:
            return " ".join(parts[:count]).strip(_EDGES)
        if len(found) > len(lead):
            break
    return " ".join(lead)


def _is_short(name: tuple[str, ...]) -> bool:
    return len(" ".join(name)) <= MAX_BRAND_CHARS


def _stands_in(name: tuple[str, ...], title: list[str]) -> bool:
    size = len(name)
    return name[0] in title and any(
        tuple(title[i : i + size]) == name for i in range(len(title) - size + 1)
    )


def _leading_names(titles: list[list[str]], common: set[str]) -> set[tuple[str, ...]]:
    """Return names that at least two titles begin with and few hold elsewhere."""
    anywhere = Counter(chain.from_iterable(map(set, titles)))
    first = Counter(title[0] for title in titles if title)
    leads = {
        word: count
        for word, count in first.items()
        if count >= 2
        and word not in common
        and not word.isdigit()
        and count >= 0.8 * anywhere[word]
    }
    longer: defaultdict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for title in titles:
        if title and title[0] in leads:
            for size in range(2, min(MAX_BRAND_WORDS, len(title)) + 1):
                longer[title[0]][tuple(title[:size])] += 1
    names = set()
    for word, count in leads.items():
        name: tuple[str, ...] = (word,)
        for lead, carried in sorted(longer[word].items(), key=lambda x: len(x[0])):
            # A longer name is the name when all but few of its titles carry it.
            known = lead[-1] in common and len(lead[-1]) > 1
            if lead[:-1] == name and carried >= 0.9 * count and not known:
                name = lead
        names.add(name)
    return names
