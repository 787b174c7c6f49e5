"""The item tower's inputs from the frames that hold them."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.items.event_values import without_event_values
from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.settings import Settings
from beauty_rec.towers.items.features import ItemFeatures, item_features


@dataclass(frozen=True)
class ItemInputs:
    """``classes``: int64 ``[N]``, the category's id; -1 where it is not known.

    ``class_field``: the column of ``features.std`` that it stands in; None: in none.
    """

    features: ItemFeatures
    vocabulary_size: int
    classes: NDArray[np.int64]
    class_field: int | None = None


def item_inputs(
    attributes: pl.DataFrame,
    known: Vocabulary,
    merged_items: pl.DataFrame,
    train_reviews: pl.DataFrame,
    profiles: pl.DataFrame,
    settings: Settings,
) -> ItemInputs:
    """Return the tower's inputs of all items of ``attributes``.

    Args:
        attributes: the item_attributes frame.
        known: the ids of its values.
        merged_items: ``parent_asin``, ``title``.
        train_reviews, profiles: what the attributes' event values came from; those values are left
            out unless ``item_tower.event_values``.
        settings: of the run.
    """
    if not settings.item_tower.event_values:
        attributes = without_event_values(attributes, train_reviews, profiles, settings.attributes)
    encoded = known.encode(attributes)
    titles = dict(merged_items.select("parent_asin", "title").iter_rows())
    features = item_features(attributes["parent_asin"].to_list(), encoded.std, encoded.re, titles)
    if "category" not in known.std_fields:  # a domain of one's own may have none
        return ItemInputs(features, len(known), np.full(len(features), -1, dtype=np.int64))
    field = known.std_fields.index("category")
    category = encoded.std[:, field]
    return ItemInputs(features, len(known), np.where(category > 0, category, -1), field)
