"""item_attributes: one record of STD and RE attributes for each item.

The frame has ``parent_asin``, a ``String`` column per STD field (null where not known), a
``List(String)`` column per RE field (empty where nothing is known; the most telling first),
``summary`` (of the description; "" where there is none) and ``source``. What is STD and what is RE
can be read off the column's type.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, Protocol

import polars as pl
from polars.selectors import by_name
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from beauty_rec.items.domain import SHIPPED, Domain, load_domain
from beauty_rec.items.event_evidence import event_evidence, telling, telling_keywords, train_only
from beauty_rec.items.event_values import add_event_values
from beauty_rec.items.phrase_finder import Lexicon, words
from beauty_rec.keywords.schema import normalise
from beauty_rec.row_cache import Reuse, nothing_reused
from beauty_rec.settings import AttributeSettings

MAX_VALUE_CHARS = 60
THIN_CHARS = 200
"""With less in features and description, a language model is asked about shoppers' keywords too:
elsewhere a new review does not change the question."""


class AttributeExtractor(Protocol):
    """Reads items. A language model and the rules are used through this alone."""

    domain: Domain
    source: str
    """Name and version, such as ``rules/1``; it stands beside each record."""

    def extract(self, items: pl.DataFrame, reused: Reuse = nothing_reused) -> pl.DataFrame:
        """Return the attributes frame of ``items``, row for row.

        ``items`` has the columns of ``raw_items`` (null in items without metadata) and
        ``keywords``, a list[str] of what train reviews say, the most telling first. ``reused``
        takes over what rules made of the same rows.
        """
        ...


def is_thin(features: Sequence[str] | None, description: str | None) -> bool:
    """Whether an item's metadata says so little that shoppers' keywords are read beside it."""
    return len(" ".join(features or [])) + len(description or "") < THIN_CHARS


def _clean(values: list[str]) -> list[str]:
    kept = map(normalise, values)
    return list(dict.fromkeys(value for value in kept if 0 < len(value) <= MAX_VALUE_CHARS))


_Brand = Annotated[str, AfterValidator(normalise)]


def record_model(domain: Domain) -> type[BaseModel]:
    """Return the pydantic model of one item's record in ``domain``.

    A closed field admits its values or null; a brand is lower-cased, so that one brand is one value
    whoever told it. RE values are lower-cased, stripped and made unique;
    empty ones and those over 60 characters are dropped. ``model_json_schema()`` of it is what a
    language model is asked to fill in.
    """
    fields: dict[str, Any] = {}
    for name, std in domain.std.items():
        admitted = Literal[tuple(std.values)] if std.kind == "closed" else _Brand
        fields[name] = (admitted | None, None)
    for name in domain.re:
        fields[name] = (Annotated[list[str], AfterValidator(_clean)], Field(default_factory=list))
    fields["summary"] = (str, "")
    return create_model("ItemRecord", __config__=ConfigDict(extra="forbid"), **fields)


def attributes_frame(
    ids: Iterable[str], records: Iterable[BaseModel], domain: Domain, source: str
) -> pl.DataFrame:
    """Return validated ``records`` (of :func:`record_model`) as the frame described above."""
    rows = [record.model_dump() for record in records]
    columns: dict[str, pl.Series] = {"parent_asin": pl.Series(list(ids), dtype=pl.String)}
    for name in domain.std:
        columns[name] = pl.Series([row[name] for row in rows], dtype=pl.String)
    for name in domain.re:
        columns[name] = pl.Series([row[name] for row in rows], dtype=pl.List(pl.String))
    columns["summary"] = pl.Series([row["summary"] for row in rows], dtype=pl.String)
    frame = pl.DataFrame(columns)
    return frame.with_columns(source=pl.lit(source, dtype=pl.String))


def choose_domain(items: pl.DataFrame, setting: str) -> Domain:
    """Return the domain of ``setting``; for ``auto`` the shipped one that knows most categories.

    The titles of the first 2,000 items decide; the first shipped domain wins a tie.

    Raises:
        ValueError: there is no such domain.
    """
    if setting != "auto":
        return load_domain(setting)
    titles = [words(title) for title in items["title"].head(2_000).drop_nulls()]

    def known(domain: Domain) -> int:
        lexicon = Lexicon({"category": domain.std["category"].phrases})
        return sum(bool(lexicon.find(title)) for title in titles)

    return max((load_domain(name) for name in SHIPPED), key=known)


def coverage(frame: pl.DataFrame, domain: Domain) -> float:
    """Return the share of items of which the words of ``domain`` tell anything.

    Brands and what buyers are like are known of any shop, so they do not count.
    """
    closed = [name for name, field in domain.std.items() if field.kind == "closed"]
    known = [by_name(name).as_expr().is_not_null() for name in closed]
    known += [by_name(name).as_expr().list.len() > 0 for name in domain.re]
    return frame.filter(pl.any_horizontal(False, *known)).height / max(1, frame.height)


def item_attributes(
    extractor: AttributeExtractor,
    items: pl.DataFrame,
    reviews: pl.DataFrame,
    keywords: pl.DataFrame | pl.LazyFrame | None,
    profiles: pl.DataFrame | None,
    settings: AttributeSettings,
    steps: dict[str, float] | None = None,
    reused: Reuse = nothing_reused,
) -> pl.DataFrame:
    """Return the attributes of every item of ``items`` and of the train ``reviews``.

    What train events say (context, further categorical columns, the buyers' profiles) is added to
    the RE fields of those names, new ones where the domain has none: counted, held against the
    background of all events, capped. Prices and ratings are not read.

    Args:
        items: ``raw_items``.
        reviews: train rows of ``split_reviews``.
        keywords: ``keywords[train]``, or None.
        profiles: ``user_profiles``, or None.
        steps: widths of the bands of buyers' numbers; by default those that ``reviews`` give.
        reused: takes over what rules made of the same rows.

    Raises:
        ValueError: ``reviews`` has rows that are not of train.
    """
    reviews = train_only(reviews)
    said = telling_keywords(reviews, keywords, settings).rename({"values": "keywords"})
    known = items.select("parent_asin").vstack(reviews.select("parent_asin")).unique().sort(by="*")
    rows = known.join(items, on="parent_asin", how="left", maintain_order="left").join(
        said.select("parent_asin", "keywords"), on="parent_asin", how="left", maintain_order="left"
    )
    frame = extractor.extract(rows.with_columns(pl.col("keywords").fill_null([])), reused)
    found = telling(event_evidence(reviews, profiles, settings, steps), settings)
    frame = add_event_values(frame, found, settings.max_values)
    last = ["summary", "source"]
    return frame[[c for c in frame.columns if c not in last] + last]
