"""Keywords by rules: a lexicon with negation, ages in numbers, salient phrases. Needs no model."""

import re
from collections.abc import Callable, Iterator

import polars as pl

from beauty_rec.keywords.ages import find_ages
from beauty_rec.keywords.extractor import Reviews, answers, extract_keywords, read_batches
from beauty_rec.keywords.lexicon import load_lexicon
from beauty_rec.keywords.matching import find_matches
from beauty_rec.keywords.phrases import salient_phrases
from beauty_rec.keywords.schema import MAX_WHEN, MAX_WHO, ReviewKeywords
from beauty_rec.keywords.tokens import tokenise

MAX_LEXICON_WHY = 16
_DIGIT = re.compile(r"[0-9]")


class RulesExtractor:
    """The extractor that needs no model.

    >>> RulesExtractor().read("Charcoal scrub", "Not greasy. Perfect for my teen before bed!")
    ReviewKeywords(who=['teenager'], when=['before bed'], why=['non-greasy', 'charcoal scrub'])
    """

    def __init__(self, max_phrases: int = 12) -> None:
        """Args: max_phrases: salient phrases of a review, 0 to 16; none: the lexicon alone."""
        if not 0 <= max_phrases <= 16:
            raise ValueError(f"max_phrases is {max_phrases}; it can be 0 to 16")
        self.max_phrases = max_phrases
        self.source = f"rules/{load_lexicon().version}"

    def extract(self, reviews: Reviews) -> Iterator[pl.DataFrame]:
        """Yield the answers batch by batch, in the order of ``reviews``."""
        for batch in read_batches(reviews, "keywords by rules"):
            yield self.read_frame(batch)

    def read_frame(self, reviews: pl.DataFrame) -> pl.DataFrame:
        """Return one row of ``ANSWER_SCHEMA`` for each review, in their order.

        Args:
            reviews: ``review_id``, ``title``, ``text``; nulls are empty.
        """
        columns = (reviews[name].fill_null("") for name in ("title", "text"))
        keywords = [self.read(title, text) for title, text in zip(*columns, strict=True)]
        return answers(reviews["review_id"].to_list(), keywords, self.source)

    def read(self, title: str, text: str) -> ReviewKeywords:
        """Return the keywords of one review."""
        tokens = tokenise(title)
        title_end = len(tokens)
        tokens.append(".")
        tokens += tokenise(text)
        matches = find_matches(tokens, load_lexicon())
        # A dictionary without values: each keyword once, in the order of the text.
        found: dict[str, dict[str, None]] = {"who": {}, "when": {}, "why": {}}
        for match in matches:
            for keyword in () if match.void else match.keywords:
                said = keyword.negated if match.negated else keyword.text
                if said:
                    found[keyword.facet][said] = None
        if _DIGIT.search(title) or _DIGIT.search(text):
            found["who"].update(dict.fromkeys(find_ages(tokens)))
        phrases = salient_phrases(tokens, title_end, matches, self.max_phrases)
        return ReviewKeywords(
            who=list(found["who"])[:MAX_WHO],
            when=list(found["when"])[:MAX_WHEN],
            why=[*list(found["why"])[:MAX_LEXICON_WHY], *phrases],
        )


def rules_reader(max_phrases: int) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return what makes of reviews the frame of their keywords, see :func:`extract_keywords`."""
    extractor = RulesExtractor(max_phrases)
    return lambda reviews: extract_keywords(reviews, extractor)
