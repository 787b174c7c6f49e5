"""Where candidates come from: one file a source, in the order that answers name them."""

import numpy as np

from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.recommender.sources.arrivals import ArrivalsSource
from beauty_rec.recommender.sources.dense import DenseSource
from beauty_rec.recommender.sources.item_to_item import ItemToItemSource
from beauty_rec.recommender.sources.lexical import LexicalSource
from beauty_rec.recommender.sources.popular import PopularSource
from beauty_rec.recommender.sources.protocol import ScoreSource, VectorSource
from beauty_rec.recommender.sources.titles import TitlesSource
from beauty_rec.recommender.sources.user_tower import UserTowerSource
from beauty_rec.recommender.space import ItemSpace
from beauty_rec.retriever.item_words import ItemWords
from beauty_rec.towers.users.served import ServedUserTower

AnySource = VectorSource | ScoreSource
KINDS: tuple[type[AnySource], ...] = (
    UserTowerSource,
    DenseSource,
    LexicalSource,
    TitlesSource,
    ItemToItemSource,
    PopularSource,
    ArrivalsSource,
)
SOURCES = tuple(kind.name for kind in KINDS)
TEXT_SOURCES = tuple(kind.name for kind in KINDS if kind.reads_text)
SIGNED = tuple(kind.signed for kind in KINDS)


def fold_sources(space: ItemSpace, tower: ServedUserTower, table: ItemTable) -> list[AnySource]:
    """Return the sources that read no text, over the items of before a fold of train."""
    rows, places = space.rows(table.ids), table.rows(space.ids)
    return [
        UserTowerSource(tower),
        ItemToItemSource(table, rows),
        PopularSource(table, places, tower.popular_half_life_days),
        ArrivalsSource(table, places),
    ]


def sources_of(
    space: ItemSpace, tower: ServedUserTower, words: ItemWords, table: ItemTable
) -> list[AnySource]:
    """Return every source over an item space, in the order of :data:`SOURCES`.

    Args:
        space: the items; the tower's matrix and the texts are its columns.
        tower: the user tower.
        words: of the items' texts and titles.
        table: what train events say of the items.
    """
    rows, places = space.rows(table.ids), table.rows(space.ids)
    # A replaced item has its older row in the table, too, and both would be added up.
    rows[table.rows(table.ids) != np.arange(len(rows))] = -1
    lexical = LexicalSource.of(words.texts, space)
    return [
        UserTowerSource(tower),
        DenseSource(),
        lexical,
        TitlesSource(words.titles, lexical.places),  # of the same items, in the same order
        ItemToItemSource(table, rows),
        PopularSource(table, places, tower.popular_half_life_days),
        ArrivalsSource(table, places),
    ]
