"""What features are made from, and the table of the items as it stood at a moment."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from beauty_rec.events.folds import with_context
from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.ranking.features.spec import FeatureSpec
from beauty_rec.settings import RankingSettings, Settings


@dataclass(frozen=True)
class ItemKnowledge:
    """Attributes, raw_items, train reviews, profiles and vocabulary, with the features' layout.

    ``attributes_before``: start of a fold (Unix ms) → the attributes of then. With those of today a
    fold would read in them which items its own events are going to take. None: no fold is asked.
    """

    attributes: pl.DataFrame
    attributes_before: Callable[[int], pl.DataFrame] | None
    items: pl.DataFrame
    train_reviews: pl.DataFrame
    profiles: pl.DataFrame
    vocabulary: Vocabulary
    spec: FeatureSpec
    settings: RankingSettings

    @classmethod
    def of(
        cls,
        attributes: pl.DataFrame,
        items: pl.DataFrame,
        reviews: pl.DataFrame,
        profiles: pl.DataFrame,
        vocabulary: Vocabulary,
        settings: Settings,
        attributes_before: Callable[[int], pl.DataFrame] | None = None,
    ) -> "ItemKnowledge":
        """Return what is known of the items.

        Args:
            attributes: ``item_attributes``.
            items: ``raw_items``.
            reviews: rows of split_reviews, of which those of train are read.
            profiles: ``user_profiles``.
            vocabulary: ids of the attributes.
            settings: of the features.
            attributes_before: as in the class.
        """
        train = with_context(reviews.filter(split="train"), settings)
        spec = FeatureSpec.layout(vocabulary, profiles, train, settings.ranking)
        return cls(
            attributes,
            attributes_before,
            items,
            train,
            profiles,
            vocabulary,
            spec,
            settings.ranking,
        )

    def table(self, until_ms: int | None = None) -> ItemTable:
        """Return what is known of the items at a fold's start (Unix ms); None: at train's end.

        Raises:
            ValueError: a fold is asked for, and nothing is known of the past.
        """
        attributes = self.attributes
        if until_ms is not None:
            if self.attributes_before is None:
                raise ValueError("what was known of the items before is not given")
            attributes = self.attributes_before(until_ms)
        return ItemTable.build(
            attributes,
            self.vocabulary,
            self.items,
            self.train_reviews,
            self.profiles,
            self.spec,
            self.settings,
            until_ms,
        )
