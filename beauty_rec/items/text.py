"""The item text that the retriever reads.

``[Title] … [Review Keywords] … [Description Summary] … [Features] …``, within a budget of tokens.
Only item metadata and the keywords of **train** reviews feed it.

>>> import polars as pl
>>> from beauty_rec.settings import ItemTextSettings
>>> items = pl.DataFrame({"parent_asin": ["B1"], "title": ["Rose oil"], "features": [["30 ml"]]})
>>> keywords = pl.DataFrame({"review_id": ["r1"], "parent_asin": ["B1"], "who": [["dry skin"]],
...     "when": [["at night"]], "why": [["no greasy film"]]})
>>> count = lambda texts: [len(text.split()) for text in texts]
>>> builder = ItemTextBuilder(items, None, keywords, ItemTextSettings(), count)
>>> builder.text("B1")
'[Title] Rose oil [Review Keywords] no greasy film; dry skin; at night [Features] 30 ml'
>>> builder.text("B1", without="r1")
'[Title] Rose oil [Features] 30 ml'
"""

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from beauty_rec.items.keyword_ranking import WordBackground, rank_keywords, words
from beauty_rec.settings import ItemTextSettings

CountTokens = Callable[[Sequence[str]], Sequence[int]]
"""Token counts of texts, without the marks that an encoder puts around a text."""

MERGED_ITEMS_SCHEMA: dict[str, Any] = {
    "parent_asin": pl.String,
    "title": pl.String,
    "text": pl.String,
    "keywords": pl.List(pl.String),
}
KEYWORD_COLUMNS = ("why", "who", "when")

_SEPARATOR = "; "
_MARKS = 2  # the encoder's own first and last token
_TITLE_SHARE, _SUMMARY_SHARE, _FEATURES_SHARE = 0.3, 0.2, 0.2


def keyword_query() -> pl.Expr:
    """Return a review's keywords as one string: what it asks, where keywords are the queries."""
    nothing = pl.lit([], dtype=pl.List(pl.String))
    facets = [pl.col(column).fill_null(nothing) for column in KEYWORD_COLUMNS]
    return pl.concat_list(facets).list.join(_SEPARATOR)


class ItemTextBuilder:
    """Builds item texts, also without one given review (leave-one-out)."""

    def __init__(
        self,
        items: pl.DataFrame,
        attributes: pl.DataFrame | None,
        train_keywords: pl.DataFrame,
        settings: ItemTextSettings,
        count_tokens: CountTokens,
        background: WordBackground | None = None,
    ) -> None:
        """Index metadata and keywords by item.

        Args:
            items: ``parent_asin``, ``title``, ``features`` (raw_items).
            attributes: ``parent_asin``, ``summary``; None while there are none.
            train_keywords: ``review_id``, ``parent_asin``, ``who``, ``when``, ``why`` of train
                reviews, oldest first.
            settings: budget and caps.
            count_tokens: of the encoder that will read the texts.
            background: what a keyword's words are held against; by default these keywords.
        """
        self._settings = settings
        self._titles = dict(items.select("parent_asin", "title").iter_rows())
        self._features = {
            asin: " ".join(features or [])
            for asin, features in items.select("parent_asin", "features").iter_rows()
        }
        self._summaries: dict[str, str] = {}
        if attributes is not None:
            self._summaries = dict(attributes.select("parent_asin", "summary").iter_rows())
        self._reviews: dict[str, list[tuple[str, list[str]]]] = {}
        for review_id, asin, *kinds in train_keywords.select(
            "review_id", "parent_asin", *KEYWORD_COLUMNS
        ).iter_rows():
            keywords = [keyword for kind in kinds for keyword in kind or []]
            self._reviews.setdefault(asin, []).append((review_id, keywords))
        self._background = background or word_background(train_keywords)
        self._count = _TokenCounter(count_tokens)
        self._count.learn(
            {keyword for reviews in self._reviews.values() for _, kws in reviews for keyword in kws}
        )

    @property
    def item_ids(self) -> list[str]:
        """Items of the metadata and of train reviews, sorted."""
        return sorted({*self._titles, *self._reviews})

    def title(self, parent_asin: str) -> str:
        """Return the title of the metadata, or an empty string."""
        return self._titles.get(parent_asin) or ""

    def keywords(self, parent_asin: str, without: str | None = None) -> list[str]:
        """Return the item's keywords, most telling first, without those of review ``without``."""
        reviews = [
            keywords
            for review_id, keywords in self._reviews.get(parent_asin, [])
            if review_id != without
        ]
        ranked = rank_keywords(reviews[-self._settings.max_reviews :], self._background)
        return ranked[: self._settings.max_keywords]

    def text(self, parent_asin: str, without: str | None = None) -> str:
        """Return the item's text within the budget; empty when nothing is known of the item."""
        return self.text_and_keywords(parent_asin, without)[0]

    def text_and_keywords(
        self, parent_asin: str, without: str | None = None
    ) -> tuple[str, list[str]]:
        """Return the text and the keywords that stand in it."""
        budget = self._settings.max_tokens - _MARKS
        title = self._cut(_label("Title", self.title(parent_asin)), int(budget * _TITLE_SHARE))
        summary = _label("Description Summary", self._summaries.get(parent_asin) or "")
        features = _label("Features", self._features.get(parent_asin) or "")
        left = budget - self._count(title)
        # What is known of the product itself keeps its share, however much reviewers have said.
        reserved = min(self._count(summary), int(budget * _SUMMARY_SHARE)) + min(
            self._count(features), int(budget * _FEATURES_SHARE)
        )
        chosen = self._fit(self.keywords(parent_asin, without), left - reserved)
        keywords = _label("Review Keywords", _SEPARATOR.join(chosen))
        left -= self._count(keywords)
        kept_for_features = min(self._count(features), int(budget * _FEATURES_SHARE))
        summary = self._cut(summary, left - kept_for_features)
        features = self._cut(features, left - self._count(summary))
        text = " ".join(part for part in (title, keywords, summary, features) if part)
        return text, chosen

    def _fit(self, keywords: Sequence[str], budget: int) -> list[str]:
        """Take keywords in order while their tokens fit; one that is too long is passed over."""
        left = budget - self._count("[Review Keywords]")
        separator = self._count(_SEPARATOR.strip())
        chosen: list[str] = []
        for keyword in keywords:
            cost = self._count(keyword) + (separator if chosen else 0)
            if cost <= left:
                chosen.append(keyword)
                left -= cost
        return chosen

    def _cut(self, section: str, budget: int) -> str:
        """Return the first words of a section that fit; nothing if not even its first word does."""
        if self._count(section) <= budget:
            return section
        parts = section.split()
        low, high = 0, len(parts)
        while low < high:
            middle = (low + high + 1) // 2
            if self._count(" ".join(parts[:middle])) <= budget:
                low = middle
            else:
                high = middle - 1
        shortened = " ".join(parts[:low])
        return "" if shortened.endswith("]") or not shortened.partition("]")[2] else shortened


def word_background(keywords: pl.DataFrame) -> WordBackground:
    """Return the background of ``who``, ``when``, ``why`` of reviews."""
    return WordBackground(
        (word for kind in kinds for keyword in kind or [] for word in words(keyword))
        for kinds in keywords.select(KEYWORD_COLUMNS).iter_rows()
    )


def merge_items(
    items: pl.DataFrame,
    attributes: pl.DataFrame | None,
    train_keywords: pl.DataFrame,
    settings: ItemTextSettings,
    count_tokens: CountTokens,
    background: WordBackground | None = None,
) -> pl.DataFrame:
    """Return ``parent_asin, title, text, keywords`` of every item that has any text, sorted.

    Arguments as for :class:`ItemTextBuilder`. ``keywords`` are those that stand in the text.
    """
    builder = ItemTextBuilder(items, attributes, train_keywords, settings, count_tokens, background)
    rows = []
    for parent_asin in builder.item_ids:
        text, keywords = builder.text_and_keywords(parent_asin)
        if text:
            rows.append((parent_asin, builder.title(parent_asin), text, keywords))
    return pl.DataFrame(rows, schema=MERGED_ITEMS_SCHEMA, orient="row")


class _TokenCounter:
    """Counts tokens, each distinct text once; many keywords in one call of the tokenizer."""

    def __init__(self, count_tokens: CountTokens) -> None:
        self._count_tokens = count_tokens
        self._known: dict[str, int] = {"": 0}

    def learn(self, texts: set[str]) -> None:
        ordered = sorted(texts)
        self._known.update(zip(ordered, self._count_tokens(ordered), strict=True))

    def __call__(self, text: str) -> int:
        known = self._known.get(text)
        return known if known is not None else self._count_tokens([text])[0]


def _label(name: str, content: str) -> str:
    content = " ".join(content.split())
    return f"[{name}] {content}" if content else ""
