"""What events of the past are asked of: the served items, or those of before a fold of train."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from beauty_rec.artifacts import Vectors
from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.recommender.sources import AnySource, fold_sources, sources_of
from beauty_rec.recommender.space import ItemSpace
from beauty_rec.retriever.item_words import ItemWords
from beauty_rec.towers.users.current_items import current_items
from beauty_rec.towers.users.item_matrix import ItemMatrix
from beauty_rec.towers.users.layout import SERVED
from beauty_rec.towers.users.served import ServedUserTower


@dataclass(frozen=True)
class Shelf:
    """The items as they stood at a moment, and what finds them.

    Attributes:
        table: what was known of the items.
        reads_texts: the tower was trained with free texts, not with occasions alone.
        asks_by_text: the tower is told the texts that it understands.
    """

    space: ItemSpace
    tower: ServedUserTower
    sources: Sequence[AnySource]
    table: ItemTable
    reads_texts: bool
    asks_by_text: bool = True


def served_shelf(
    user_tower: Path,
    item_index: Path,
    item_texts: Vectors,
    words: ItemWords,
    table: ItemTable,
    reads_texts: bool,
) -> Shelf:
    """Return what the service asks: all sources over the item matrix of the day."""
    tower = ServedUserTower.load(user_tower / SERVED, ItemMatrix.load(item_index))
    space = ItemSpace.of(tower.items, item_texts, spare=0)
    return Shelf(space, tower, sources_of(space, tower, words, table), table, reads_texts)


def fold_shelf(
    user_tower: Path,
    start_ms: int,
    reviews: pl.DataFrame,
    profiles: pl.DataFrame,
    item_vectors: Vectors,
    item_texts: Vectors,
    table: ItemTable,
    reads_texts: bool,
) -> Shelf:
    """Return what a fold of train asks: a tower that never saw it, and what was known before it.

    Items, vectors and texts are those of then. Sources that read a shopper's text are left out: the
    encoder has learned from the fold's own reviews. So no tower is told their words, either.
    """
    folder = user_tower / str(start_ms)
    items = current_items(folder, reviews, profiles, item_vectors, item_texts, as_trained=True)
    tower = ServedUserTower.load(folder, items)
    space = ItemSpace.of(items, item_texts, spare=0)
    sources = fold_sources(space, tower, table)
    return Shelf(space, tower, sources, table, reads_texts, asks_by_text=not reads_texts)
