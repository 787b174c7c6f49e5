"""Which keywords of an item tell it apart from all others.

A keyword is scored by its words: the mean over its distinct words of ``tf * idf``, where ``tf`` is
``1 + ln(reviews of the item with the word)`` and ``idf`` is ``ln((1 + R) / (1 + reviews with the
word))`` over all ``R`` train reviews (Salton & Buckley 1988, sublinear tf). Words, not whole
keywords, carry the counts: two reviews rarely share a phrase, yet they share "lash" and "clump".
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_SMOOTHING = 1.0  # a missing word of no weight: one rare word alone is not yet a telling phrase


@lru_cache(maxsize=1 << 16)  # reviews repeat their keywords
def words(text: str) -> tuple[str, ...]:
    """Return the distinct case-folded words of ``text`` in order of first appearance."""
    return tuple(dict.fromkeys(_WORD.findall(text.casefold())))


class WordBackground:
    """In how many reviews each word stands: the background that a frequency is held against.

    >>> background = WordBackground([("good", "lash"), ("good",), ("good",)])
    >>> background.idf("lash") > background.idf("good")
    True
    """

    def __init__(self, reviews: Iterable[Iterable[str]]) -> None:
        self.frequency: Counter[str] = Counter()
        self.reviews = 0
        for review in reviews:
            self.frequency.update(set(review))
            self.reviews += 1

    def idf(self, word: str) -> float:
        """Return ``ln((1 + R) / (1 + reviews with the word))``, at least 0."""
        return math.log((1 + self.reviews) / (1 + self.frequency[word]))


def rank_keywords(reviews: Sequence[Sequence[str]], background: WordBackground) -> list[str]:
    """Return the distinct keywords of an item's reviews, the most telling first.

    Keywords that differ only in case or punctuation count as one (the first form stays), and a
    keyword whose words all stand in a better one is left out: it would spend tokens on nothing.
    Equal scores keep the order in which the keywords came.

    Args:
        reviews: the keywords of each review of the item.
        background: word frequencies over all train reviews.
    """
    forms: dict[tuple[str, ...], str] = {}
    frequency: Counter[str] = Counter()
    for keywords in reviews:
        seen: set[str] = set()
        for keyword in keywords:
            key = words(keyword)
            if key:
                forms.setdefault(key, keyword)
                seen.update(key)
        frequency.update(seen)
    weight = {
        word: (1 + math.log(count)) * background.idf(word) for word, count in frequency.items()
    }
    ranked = sorted(
        forms, key=lambda key: -sum(weight[word] for word in key) / (len(key) + _SMOOTHING)
    )
    return [forms[key] for key in _without_covered(ranked)]


def _without_covered(ranked: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Drop a keyword when one kept before it holds all of its words."""
    kept: list[tuple[str, ...]] = []
    holders: dict[str, set[int]] = {}  # word -> positions in `kept`
    for key in ranked:
        if set.intersection(*(holders.get(word, set()) for word in key)):
            continue
        for word in key:
            holders.setdefault(word, set()).add(len(kept))
        kept.append(key)
    return kept
