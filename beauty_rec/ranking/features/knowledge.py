"""What features are made from, and the table of the items as it stood at a moment."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from beauty_rec.events.folds import with_context
from beauty_rec.items.event_values import EventValueHistory
from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.ranking.features.spec import FeatureSpec
from beauty_rec.settings import RankingSettings, Settings


@dataclass(frozen=True)
class ItemKnowledge:
    """Attributes, raw_items, train reviews, profiles and vocabulary, with the features' layout.

    ``attributes_before``: Unix ms → the attributes with what train events said before it. With the
    attributes of today a fold would read in them which items its own events are going to take.
    """

    attributes: pl.DataFrame
    attributes_before: Callable[[int], pl.DataFrame]
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
    ) -> "ItemKnowledge":
        """Return what is known of the items.

        Args:
            attributes: ``item_attributes``.
            items: ``raw_items``.
            reviews: rows of split_reviews, of which those of train are read.
            profiles: ``user_profiles``.
            vocabulary: ids of the attributes.
            settings: of the features and the attributes.
        """
        said = reviews.filter(split="train")
        history = EventValueHistory(attributes, said, profiles, settings.attributes)
        train = with_context(said, settings)
        spec = FeatureSpec.layout(vocabulary, profiles, train, settings.ranking)
        return cls(
            attributes,
            history.before,
            items,
            train,
            profiles,
            vocabulary,
            spec,
            settings.ranking,
        )

    def table(self, until_ms: int | None = None) -> ItemTable:
        """Return what is known of the items at a moment (Unix ms); None: at the end of train."""
        return ItemTable.build(
            self.attributes if until_ms is None else self.attributes_before(until_ms),
            self.vocabulary,
            self.items,
            self.train_reviews,
            self.profiles,
            self.spec,
            self.settings,
            until_ms,
        )
