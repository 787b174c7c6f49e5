"""The attributes frame as it would have been at a moment, of what was known before it.

A model that learns from train events must not read in an item's attributes what those events, or
later ones, are going to say of it: that an item has buyers at all tells which ones will sell.
"""

from functools import cached_property
from typing import Any

import polars as pl

from beauty_rec.items.attributes import AttributeExtractor, is_thin, item_attributes
from beauty_rec.items.domain import Domain
from beauty_rec.items.event_evidence import KEYWORD_FIELDS, buyer_steps, event_evidence, telling
from beauty_rec.items.event_values import add_event_values, without_values
from beauty_rec.items.phrase_finder import words
from beauty_rec.items.rules import RulesAttributeExtractor
from beauty_rec.settings import AttributeSettings

_METADATA = ("title", "features", "details", "description", "store", "categories")


class AttributeHistory:
    """The attributes of items before any moment of train.

    The bands of buyers' numbers stay those of all ``reviews``, so that values keep their ids.

    Args:
        attributes: of :func:`beauty_rec.items.attributes.item_attributes`: its columns are kept.
        items: ``raw_items``.
        reviews: train rows of ``split_reviews``.
        keywords: ``keywords[train]``.
        profiles: ``user_profiles``, or None.
        settings, domain: what ``attributes`` was made with.
        extractor: reads items anew, with the keywords of before. Without one (a language model
            takes its time) a value stays that the metadata or an earlier keyword says.
    """

    def __init__(
        self,
        attributes: pl.DataFrame,
        items: pl.DataFrame,
        reviews: pl.DataFrame,
        keywords: pl.DataFrame,
        profiles: pl.DataFrame | None,
        settings: AttributeSettings,
        domain: Domain,
        extractor: AttributeExtractor | None,
    ) -> None:
        self._attributes, self._items, self._reviews = attributes, items, reviews
        self._keywords, self._profiles, self._settings = keywords, profiles, settings
        self._domain, self._extractor = domain, extractor
        self._steps = {} if profiles is None else buyer_steps(reviews, profiles)

    def before(self, until_ms: int) -> pl.DataFrame:
        """Return the frame of the items that were known before ``until_ms`` (Unix ms)."""
        reviews = self._reviews.filter(pl.col("timestamp") < until_ms)
        keywords = self._keywords.join(reviews, on="review_id", how="semi", maintain_order="left")
        found = (
            self._evident(reviews, keywords)
            if self._extractor is None
            else item_attributes(
                self._extractor, self._items, reviews, keywords, self._profiles, self._settings,
                self._steps,
            )
        )  # fmt: skip
        schema = self._attributes.schema
        lacking = [
            pl.lit([] if dtype == pl.List(pl.String) else None, dtype=dtype).alias(name)
            for name, dtype in schema.items()
            if name not in found.columns
        ]
        return found.with_columns(lacking)[schema.names()]

    def _evident(self, reviews: pl.DataFrame, keywords: pl.DataFrame) -> pl.DataFrame:
        """Return today's attributes of the items that were known, less what nothing says yet."""
        known = pl.concat([self._items["parent_asin"], reviews["parent_asin"]]).unique()
        frame = self._bare.filter(pl.col("parent_asin").is_in(known.implode()))
        spoken, nothing = _words_said(keywords, KEYWORD_FIELDS), set[str]()

        def heard(item: str) -> set[str]:
            return self._described.get(item, nothing) | spoken.get(item, nothing)

        def is_told(item: str, clues: list[set[str]]) -> bool:
            # The words of one value of few need not be the text's: the metadata tell it. Only
            # where shoppers were read beside them one of its phrases has to stand there.
            if item not in self._read_with_shoppers:
                return item in self._described
            told = heard(item) if item in self._described else nothing
            return any(clue and clue <= told for clue in clues)

        ids = frame["parent_asin"].to_list()
        columns = []
        for name, dtype in frame.schema.items():
            given = zip(ids, frame[name].to_list(), strict=True)
            if dtype == pl.List(pl.String):
                kept: list[Any] = [
                    [value for value in values if heard(item) >= set(words(value))]
                    for item, values in given
                ]
                columns.append(pl.Series(name, kept, dtype=dtype))
            elif name == "summary":
                kept = [text if item in self._described else "" for item, text in given]
                columns.append(pl.Series(name, kept, dtype=pl.String))
            elif name not in ("parent_asin", "source"):
                clues = self._clues(name, frame[name])
                kept = [v if is_told(item, clues.get(v, [])) else None for item, v in given]
                columns.append(pl.Series(name, kept, dtype=pl.String))
        frame = frame.with_columns(columns)
        return add_event_values(frame, self._telling(reviews), self._settings.max_values)

    @cached_property
    def _bare(self) -> pl.DataFrame:
        """Today's attributes without what events say."""
        return without_values(self._attributes, self._telling(self._reviews))

    @cached_property
    def _described(self) -> dict[str, set[str]]:
        """The words of each item's metadata."""
        return _words_said(self._items, _METADATA)

    @cached_property
    def _read_with_shoppers(self) -> set[str]:
        """Items of which the keywords of all of train were read: a value may be a later review's.

        A language model reads them where metadata is thin, the rules that stand in for it always.
        """
        told = self._items.select("parent_asin", "features", "description")
        thin = {item for item, *own in told.iter_rows() if is_thin(*own)}
        by_rules = self._attributes.filter(source=RulesAttributeExtractor.source)
        return thin.union(by_rules["parent_asin"])

    def _clues(self, field: str, values: pl.Series) -> dict[str, list[set[str]]]:
        """Return the words of each phrase that tells a value; a brand is told by its own."""
        phrases = self._domain.std[field].phrases
        distinct = values.drop_nulls().unique().to_list()
        return {v: [set(words(phrase)) for phrase in phrases.get(v, [v])] for v in distinct}

    def _telling(self, reviews: pl.DataFrame) -> pl.DataFrame:
        evidence = event_evidence(reviews, self._profiles, self._settings, self._steps)
        return telling(evidence, self._settings)


def _words_said(frame: pl.DataFrame, columns: tuple[str, ...]) -> dict[str, set[str]]:
    """Return the words of the columns by ``parent_asin``, of the items that any are said of."""
    texts = [
        pl.col(name).list.join(" ") if dtype == pl.List(pl.String) else pl.col(name)
        for name, dtype in frame.schema.items()
        if name in columns
    ]
    text = pl.concat_str(texts, separator=" ", ignore_nulls=True)
    said: dict[str, set[str]] = {}
    for item, found in frame.select("parent_asin", text.alias("text")).iter_rows():
        if own := words(found or ""):
            said.setdefault(item, set()).update(own)
    return said
