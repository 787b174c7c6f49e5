"""Telling phrases of a review, without a model.

Candidates are runs of words between stop words and punctuation, as in RAKE (Rose et al. 2010,
doi:10.1002/9780470689646.ch1). Their score is not RAKE's degree over frequency, which favours the
longest run, but a sum of fixed word weights: a type of product or an ingredient is worth more than
an unknown word. So the score of a phrase does not depend on the rest of the review.
"""

import math
from functools import lru_cache

from beauty_rec.keywords.lexicon import load_lexicon
from beauty_rec.keywords.matching import Match

MAX_WORDS = 3
MIN_SCORE = 1.0
"""A lone unknown word just passes, after all else: it may be the only name an item has."""
TITLE_BONUS = 0.5
_MAX_WORD_CHARS = 24
_DETERMINERS = frozenset({"a", "an", "the", "any", "more", "as", "this", "that", "my", "your"})

_BREAK, _MODIFIER, _UNKNOWN, _BODY, _INGREDIENT, _PRODUCT = 0.0, 0.9, 1.0, 1.25, 1.5, 2.0


@lru_cache(maxsize=1 << 17)
def _weight(word: str) -> float:
    """Return what ``word`` adds to a phrase; 0 if it ends one, below 1 if it cannot be its head."""
    words = load_lexicon().words
    if word in words["products"]:
        return _PRODUCT
    if word in words["ingredients"]:
        return _INGREDIENT
    if word in words["body"]:
        return _BODY
    if word in words["modifiers"]:
        return _MODIFIER
    if not 2 < len(word) <= _MAX_WORD_CHARS and not (word[0] > "\u2e7f" and len(word) < 20):
        return _BREAK
    if "'" in word or not word[0].isalpha():
        return _BREAK
    if word in words["function"] or word in words["weak"] or word in words["foreign"]:
        return _BREAK
    if word.endswith("ly") and word not in words["not_adverbs"]:
        return _BREAK
    if len(word) > 3 and word.endswith(("ed", "ing")) and not word.endswith("eed"):
        return _MODIFIER
    return _UNKNOWN


def salient_phrases(
    tokens: list[str], title_end: int, matches: list[Match], limit: int
) -> list[str]:
    """Return at most ``limit`` phrases of one to three words, the most telling first.

    Args:
        tokens: of title and text (see ``tokenise``).
        title_end: how many of the tokens belong to the title.
        matches: of the lexicon: a phrase that lies within them says nothing new, and one right
            after "no" or "not a" is not about the item.
        limit: how many phrases at most.
    """
    weights = list(map(_weight, tokens))
    known = bytearray(len(tokens))
    for match in matches:
        size = match.end - match.start
        if match.keywords and not match.negated:
            if match.keywords[0].text is None:
                continue
            known[match.start : match.end] = b"\1" * size
        else:
            weights[match.start : match.end] = [_BREAK] * size
        if match.cue:
            _deny(tokens, weights, match.end)
    scores: dict[str, list[float]] = {}
    start = 0
    for end, weight in enumerate([*weights, _BREAK]):
        if weight:
            continue
        if end > start:
            _add_run(tokens, weights, known, start, end, title_end, scores)
        start = end + 1
    ranked = sorted(
        (-(score * (1 + 0.25 * math.log2(count)) + bonus), place, phrase)
        for place, (phrase, (score, count, bonus)) in enumerate(scores.items())
    )
    return [phrase for negative, _, phrase in ranked[:limit] if -negative >= MIN_SCORE]


def _deny(tokens: list[str], weights: list[float], at: int) -> None:
    """Take out the run that follows a negation cue directly."""
    end = len(tokens)
    while at < end and tokens[at] in _DETERMINERS:
        at += 1
    while at < end and weights[at]:
        weights[at] = _BREAK
        at += 1


def _add_run(
    tokens: list[str],
    weights: list[float],
    known: bytearray,
    start: int,
    end: int,
    title_end: int,
    scores: dict[str, list[float]],
) -> None:
    """Add the phrase at the end of the run ``tokens[start:end]``, where English has its head."""
    # "hair shiny", "cream smells": what the lexicon knows stands here as a verb or an adjective.
    while end > start and (
        weights[end - 1] == _MODIFIER or (known[end - 1] and weights[end - 1] < _INGREDIENT)
    ):
        end -= 1
    start = max(start, end - MAX_WORDS)
    if end <= start or all(known[start:end]):
        return
    phrase = " ".join(tokens[start:end])
    if len(phrase) > 60 or (end - start == 1 and _bare(phrase)):
        return
    bonus = TITLE_BONUS if start < title_end else 0.0
    entry = scores.setdefault(phrase, [sum(weights[start:end]), 0.0, bonus])
    entry[1] += 1


def _bare(word: str) -> bool:
    """Whether ``word`` alone says little: a body part, or a product's name that is a verb."""
    words = load_lexicon().words
    return word in words["body"] or word in words["weak"]
