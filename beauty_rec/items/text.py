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

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import polars as pl

from beauty_rec.events.item_ranges import item_ranges
from beauty_rec.items.keyword_ranking import WordBackground, rank_keywords, words
from beauty_rec.row_cache import Reuse, content_keys, nothing_reused
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
_BATCH_ROWS = 50_000
_BATCH_ITEMS = 5_000
_COUNTED = 1 << 20  # keywords whose token counts are remembered: 120 MB
_MARKS = 2  # the encoder's own first and last token
_TITLE_SHARE, _SUMMARY_SHARE, _FEATURES_SHARE = 0.3, 0.2, 0.2


def keyword_query() -> pl.Expr:
    """Return a review's keywords as one string: what it asks, where keywords are the queries."""
    return _all_keywords().list.join(_SEPARATOR)


def _all_keywords() -> pl.Expr:
    """Return a review's keywords of all facets as one list."""
    nothing = pl.lit([], dtype=pl.List(pl.String))
    return pl.concat_list([pl.col(column).fill_null(nothing) for column in KEYWORD_COLUMNS])


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
        # Not Python lists, which take ten times the room: some millions of keywords are usual.
        said = train_keywords.select("review_id", "parent_asin", keywords=_all_keywords())
        said = said.sort("parent_asin", maintain_order=True)
        self._review_ids, self._said = said["review_id"], said["keywords"].rechunk()
        counts = said.group_by("parent_asin", maintain_order=True).len()
        ends = counts.with_columns(end=pl.col("len").cum_sum())
        self._ends = {asin: (end, count) for asin, count, end in ends.iter_rows()}
        self._background = background or word_background(train_keywords)
        self._count = _TokenCounter(count_tokens)

    @property
    def item_ids(self) -> list[str]:
        """Items of the metadata and of train reviews, sorted."""
        return sorted({*self._titles, *self._ends})

    def title(self, parent_asin: str) -> str:
        """Return the title of the metadata, or an empty string."""
        return self._titles.get(parent_asin) or ""

    def keywords(self, parent_asin: str, without: str | None = None) -> list[str]:
        """Return the item's keywords, most telling first, without those of review ``without``."""
        latest = self._latest(parent_asin, self._settings.max_reviews + 1)  # one may be left out
        ids, said = (column.slice(*latest).to_list() for column in (self._review_ids, self._said))
        reviews = [own for name, own in zip(ids, said, strict=True) if name != without]
        ranked = rank_keywords(reviews[-self._settings.max_reviews :], self._background)
        return ranked[: self._settings.max_keywords]

    def contents(self, ids: Iterable[str]) -> Iterator[tuple[object, ...]]:
        """Yield what the text of each item depends on, the background apart."""
        for item in ids:
            said = self._said.slice(*self._latest(item, self._settings.max_reviews)).to_list()
            yield self.title(item), self._summaries.get(item), self._features.get(item), said

    def _latest(self, item: str, most: int) -> tuple[int, int]:
        """Return where the latest reviews of an item stand: the first, and how many, at most."""
        end, count = self._ends.get(item, (0, 0))
        return end - min(count, most), min(count, most)

    def texts(self, ids: Sequence[str]) -> pl.DataFrame:
        """Return ``title, text, keywords`` of each item; the tokenizer is asked for all at once."""
        known = [self._sections(item) for item in ids]
        ranked = [self.keywords(item) for item in ids]
        self._count.learn(chain(*known, *ranked))
        chosen = list(map(self._chosen, known, ranked))
        self._count.learn(map(_keyword_label, chosen))
        rows = {
            "title": [self.title(item) for item in ids],
            "text": list(map(self._composed, known, chosen)),
            "keywords": chosen,
        }
        return pl.DataFrame(rows, schema={name: MERGED_ITEMS_SCHEMA[name] for name in rows})

    def text(self, parent_asin: str, without: str | None = None) -> str:
        """Return the item's text within the budget; empty when nothing is known of the item."""
        return self.text_and_keywords(parent_asin, without)[0]

    def text_and_keywords(
        self, parent_asin: str, without: str | None = None
    ) -> tuple[str, list[str]]:
        """Return the text and the keywords that stand in it."""
        known = self._sections(parent_asin)
        chosen = self._chosen(known, self.keywords(parent_asin, without))
        return self._composed(known, chosen), chosen

    def _sections(self, parent_asin: str) -> "_Sections":
        return _Sections(
            _label("Title", self.title(parent_asin)),
            _label("Description Summary", self._summaries.get(parent_asin) or ""),
            _label("Features", self._features.get(parent_asin) or ""),
        )

    def _chosen(self, known: "_Sections", keywords: Sequence[str]) -> list[str]:
        """Return the keywords that stand in the text."""
        left = self._budget() - self._count(self._title(known))
        # What is known of the product itself keeps its share, however much reviewers have said.
        summary = min(self._count(known.summary), self._budget(_SUMMARY_SHARE))
        return self._fit(keywords, left - summary - self._kept_for_features(known))

    def _composed(self, known: "_Sections", chosen: Sequence[str]) -> str:
        title, keywords = self._title(known), _keyword_label(chosen)
        left = self._budget() - self._count(title) - self._count(keywords)
        summary = self._cut(known.summary, left - self._kept_for_features(known))
        features = self._cut(known.features, left - self._count(summary))
        return " ".join(part for part in (title, keywords, summary, features) if part)

    def _title(self, known: "_Sections") -> str:
        return self._cut(known.title, self._budget(_TITLE_SHARE))

    def _kept_for_features(self, known: "_Sections") -> int:
        return min(self._count(known.features), self._budget(_FEATURES_SHARE))

    def _budget(self, share: float = 1) -> int:
        return int((self._settings.max_tokens - _MARKS) * share)

    def _fit(self, keywords: Sequence[str], budget: int) -> list[str]:
        """Take keywords in order while their tokens fit; one that is too long is passed over."""
        self._count.learn(keywords)
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
        return shortened if shortened.partition("]")[2] else ""  # a lone label says nothing


def word_background(keywords: pl.DataFrame | pl.LazyFrame) -> WordBackground:
    """Return the background of ``who``, ``when``, ``why`` of reviews, a batch of them at a time."""
    batches = keywords.lazy().select(KEYWORD_COLUMNS).collect_batches(chunk_size=_BATCH_ROWS)
    return WordBackground(
        (word for kind in kinds for keyword in kind or [] for word in words(keyword))
        for batch in batches
        for kinds in batch.iter_rows()
    )


def merge_items(
    items: pl.DataFrame | pl.LazyFrame,
    attributes: pl.DataFrame | None,
    train_keywords: pl.DataFrame | pl.LazyFrame,
    settings: ItemTextSettings,
    count_tokens: CountTokens,
    background: WordBackground | None = None,
    reused: Reuse = nothing_reused,
) -> pl.DataFrame:
    """Return ``parent_asin, title, text, keywords`` of every item that has any text, sorted.

    Arguments as for :class:`ItemTextBuilder`. ``keywords`` are those that stand in the text. Of
    lazy frames only the rows of some items are held at a time. ``reused`` takes over texts of the
    same content, made of the same background, settings and tokenizer.
    """
    said, known = train_keywords.lazy(), items.lazy()
    background = background or word_background(said)
    parts = [pl.DataFrame(schema=MERGED_ITEMS_SCHEMA)]
    ids = known.select("parent_asin").collect()["parent_asin"]
    for within in item_ranges(ids, said):
        builder = ItemTextBuilder(
            known.select("parent_asin", "title", "features").filter(within).collect(),
            None if attributes is None else attributes.filter(within),
            said.filter(within).collect(),
            settings,
            count_tokens,
            background,
        )
        names = builder.item_ids
        for start in range(0, len(names), _BATCH_ITEMS):
            some = names[start : start + _BATCH_ITEMS]
            keys = pl.Series(content_keys(builder.contents(some)), dtype=pl.String)
            made = reused(keys, partial(_texts_of, builder, some))
            named = made.with_columns(parent_asin=pl.Series(some, dtype=pl.String))
            parts.append(named.filter(pl.col("text") != "").select(*MERGED_ITEMS_SCHEMA))
    return pl.concat(parts)


def _texts_of(builder: ItemTextBuilder, ids: Sequence[str], rows: Sequence[int]) -> pl.DataFrame:
    return builder.texts([ids[row] for row in rows])


class _Sections(NamedTuple):
    """What is known of an item itself, labelled and uncut."""

    title: str
    summary: str
    features: str


class _TokenCounter:
    """Counts tokens, those of many texts in one call of the tokenizer.

    What was counted is remembered until there is too much of it.
    """

    def __init__(self, count_tokens: CountTokens) -> None:
        self._count_tokens = count_tokens
        self._known: dict[str, int] = {"": 0}

    def learn(self, texts: Iterable[str]) -> None:
        if len(self._known) > _COUNTED:
            self._known = {"": 0}
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._count_tokens(new), strict=True))

    def __call__(self, text: str) -> int:
        if text not in self._known:
            self.learn([text])
        return self._known[text]


def _keyword_label(chosen: Sequence[str]) -> str:
    return _label("Review Keywords", _SEPARATOR.join(chosen))


def _label(name: str, content: str) -> str:
    content = " ".join(content.split())
    return f"[{name}] {content}" if content else ""
