"""Vectors of items that came while serving, with the models of the set."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.corpus.intake.rows import said_of
from beauty_rec.corpus.schema import ITEM_SCHEMA
from beauty_rec.items.attributes import choose_domain
from beauty_rec.items.rules import RulesAttributeExtractor
from beauty_rec.items.text import ItemTextBuilder
from beauty_rec.items.vocabulary import UNKNOWN, Vocabulary
from beauty_rec.ranking.features.item_events import NEVER
from beauty_rec.recommender.online.requests import NewItem
from beauty_rec.recommender.online.sets.parts import (
    ITEM_TOWER,
    RERANKER,
    TEXT_RETRIEVER,
    VOCABULARY,
)
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.stock.cards import shown_attributes
from beauty_rec.recommender.online.stock.catalogue import new_card
from beauty_rec.row_cache import maker_of
from beauty_rec.settings import Settings
from beauty_rec.towers.items.features import item_features
from beauty_rec.towers.items.served import todays_item_tower
from beauty_rec.towers.items.titles import read_item_vectors

_NO_KEYWORDS = pl.DataFrame(
    schema={
        "review_id": pl.String,
        "parent_asin": pl.String,
        **{facet: pl.List(pl.String) for facet in ("who", "when", "why")},
    }
)

_READ_FOR_ROWS = (ITEM_TOWER, VOCABULARY, RERANKER)


class UnknownAttribute(ValueError):
    """A given attribute is no field of this shop; the message lists the fields."""


@dataclass(frozen=True)
class NewRow:
    """What an item adds to a shop, as its models read it; JSON and bytes can hold it.

    Attributes:
        vectors: float32 ``[tower + text]``; the statistics between them are the shop's.
        sparse: int32 ``[S + R]``, ids of the vocabulary.
        text: as the retrievers read it.
        card: what people see.
    """

    vectors: NDArray[np.float32]
    sparse: list[int]
    text: str
    card: dict[str, Any]


def refuse_unknown(shop: Snapshot, items: Sequence[NewItem]) -> None:
    """Hold the attributes of items that are to be given against the shop.

    Raises:
        UnknownAttribute: one has no field here, or more values than its field takes.
    """
    vocabulary = shop.path.builder.vocabulary
    for item in items:
        for name, value in item.attributes.items():
            if _takes(vocabulary, name, value):
                continue
            if name in vocabulary.std_fields:
                raise UnknownAttribute(f"{item.parent_asin}: {name!r} takes one value")
            fields = sorted({*vocabulary.std_fields, *vocabulary.re_fields})
            raise UnknownAttribute(
                f"{item.parent_asin}: no attribute {name!r} here; there are: " + ", ".join(fields)
            )


def make_rows(shop: Snapshot, items: Sequence[NewItem], settings: Settings) -> list[NewRow]:
    """Return what ``items`` add, their texts and attributes read as the pipeline reads them.

    An attribute that the set has no field for is left out: another set had one when it was given.
    """
    said = [said_of(item.as_row()) for item in items]
    raw = _raw_items(items, said)
    attributes = _attributes(shop, raw, items, settings)
    tower = _tower_vectors(shop, raw, attributes, settings)
    texts = _texts(shop, raw, attributes, settings)
    with shop.models.contexts.lock:
        text_vectors = shop.models.encoder.encode_items(texts)
    encoded = shop.path.builder.vocabulary.encode(attributes)
    sparse = np.concatenate([encoded.std, encoded.re], axis=1).astype(int).tolist()
    shown = attributes.select(shown_attributes(attributes)).to_dicts()
    return [
        NewRow(
            np.concatenate([tower[row], text_vectors[row]]).astype(np.float32),
            sparse[row],
            texts[row],
            new_card(
                item.parent_asin,
                title=said[row]["title"],
                store=said[row]["store"] or "",
                price=item.price,
                categories=said[row]["categories"],
                **shown[row],
            ),
        )
        for row, item in enumerate(items)
    ]


def add_rows(shop: Snapshot, rows: Sequence[NewRow]) -> Snapshot:
    """Return the shop with these rows.

    What it sells already keeps its statistics; a stranger has those of what nobody bought yet.
    """
    if not rows:
        return shop
    vectors = np.stack([row.vectors for row in rows])
    items = shop.path.tower.items
    tower, text = items.tower, items.tower + items.statistics
    places = shop.space.rows([row.card["parent_asin"] for row in rows])
    statistics = shop.space.vectors(places, slice(tower, text))
    statistics[places < 0] = _unsold(shop)
    return shop.with_items(
        np.concatenate([vectors[:, :tower], statistics, vectors[:, tower:]], axis=1),
        np.array([row.sparse for row in rows], np.int32),
        [row.text for row in rows],
        [row.card for row in rows],
    )


def maker(shop: Snapshot, settings: Settings) -> str:
    """Return what stands for all that :func:`make_rows` depends on but the items: models, code."""
    parts = {name: shop.manifest.parts.get(name) for name in (TEXT_RETRIEVER, *_READ_FOR_ROWS)}
    given = (settings.attributes, settings.item_text, settings.encoder)
    return maker_of(
        sorted(parts.items()),
        sorted((name, repr(value)) for name, value in shop.manifest.facts.items()),
        [group.model_dump_json() for group in given],
        _code(),
    )


def is_taken_in(base: Snapshot, item: NewItem) -> bool:
    """Whether the set itself was made of an item as it was given, and has its attributes.

    A value that has no id yet is no attribute that the set could have. A set that does not tell
    what it was made of, as it is older, counts as made without the item.
    """
    row = base.space.row_of.get(item.parent_asin)
    if row is None or base.catalogue.content(row) != item.content:
        return False
    table, vocabulary = base.path.table, base.path.builder.vocabulary
    said = {
        vocabulary.id_of(name, one.lower())
        for name, value in item.attributes.items()
        for one in ([value] if isinstance(value, str) else value)
    }
    place = table.rows([item.parent_asin])[0]
    return said - {UNKNOWN} <= set(table.sparse[place].tolist())


@cache
def _code() -> str:
    """Return a hash of the package: whatever an item is read by is a part of it."""
    package = Path(__file__).parents[3]
    files = sorted(file for kind in ("*.py", "*.toml") for file in package.rglob(kind))
    return maker_of(*(file.read_bytes() for file in files))


def _raw_items(items: Sequence[NewItem], said: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Return the items with the columns of ``raw_items``: what the pipeline will read of them."""
    details = [json.dumps(item.details) for item in items]
    rows = [{**row, "details": own} for row, own in zip(said, details, strict=True)]
    return pl.DataFrame(rows, schema=ITEM_SCHEMA)


def _attributes(
    shop: Snapshot, raw: pl.DataFrame, items: Sequence[NewItem], settings: Settings
) -> pl.DataFrame:
    domain = choose_domain(raw, shop.manifest.facts["domain"])
    extractor = RulesAttributeExtractor(domain, settings.attributes)
    frame = extractor.extract(raw.with_columns(keywords=pl.lit([], dtype=pl.List(pl.String))))
    vocabulary = shop.path.builder.vocabulary
    given: dict[str, list[Any]] = {}
    for row, item in enumerate(items):
        for name, value in item.attributes.items():
            if not _takes(vocabulary, name, value):
                continue
            open_field = name in vocabulary.re_fields
            values = [value] if isinstance(value, str) else value
            if name not in given:
                known = frame[name].to_list() if name in frame.columns else [None] * len(frame)
                given[name] = [k if k is not None or not open_field else [] for k in known]
            lower = [v.lower() for v in values]
            given[name][row] = lower if open_field else lower[0]
    return frame.with_columns(
        pl.Series(
            name,
            values,
            dtype=pl.List(pl.String) if name in vocabulary.re_fields else pl.String,
        )
        for name, values in given.items()
    )


def _takes(vocabulary: Vocabulary, name: str, value: str | list[str]) -> bool:
    """Whether there is a field for what is given, which of several values only an open one is."""
    if name in vocabulary.re_fields:
        return True
    return name in vocabulary.std_fields and (isinstance(value, str) or len(value) == 1)


def _tower_vectors(
    shop: Snapshot, raw: pl.DataFrame, attributes: pl.DataFrame, settings: Settings
) -> NDArray[np.float32]:
    folder = shop.models.folder
    today = Vocabulary.load(folder / VOCABULARY)
    tower, vocabulary = todays_item_tower(folder / ITEM_TOWER, today)
    if not tower.settings.event_values:
        filled = [c for c in shop.manifest.facts["event_fields"] if c in attributes.columns]
        attributes = attributes.with_columns(
            pl.lit([], dtype=attributes.schema[c]).alias(c)
            for c in filled
            if attributes.schema[c] == pl.List(pl.String)
        )
    encoded = vocabulary.encode(attributes)
    titles = dict(raw.select("parent_asin", "title").iter_rows())
    features = item_features(attributes["parent_asin"].to_list(), encoded.std, encoded.re, titles)
    return read_item_vectors(
        tower, folder / ITEM_TOWER, features, precision=settings.encoder.precision
    )


def _texts(
    shop: Snapshot, raw: pl.DataFrame, attributes: pl.DataFrame, settings: Settings
) -> list[str]:
    with shop.models.contexts.lock:
        builder = ItemTextBuilder(
            raw, attributes, _NO_KEYWORDS, settings.item_text, shop.models.encoder.count_tokens
        )
        return [builder.text(name) for name in raw["parent_asin"]]


def _unsold(shop: Snapshot) -> NDArray[np.float32]:
    """Return the statistics columns of an item that nobody has bought yet."""
    tower, table = shop.path.tower, shop.path.table
    items = tower.items
    start, stop = items.tower, items.tower + items.statistics
    for row in np.flatnonzero(table.events.first_ms[:-1] == NEVER):
        place = shop.space.row_of.get(table.ids[row])
        if place is not None and place < len(items.ids):
            return np.asarray(items.matrix[place, start:stop])
    return tower.statistics.unsold()
