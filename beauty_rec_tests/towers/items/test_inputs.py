"""The item tower's inputs from the frames that hold them."""

import polars as pl

from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.settings import Settings, VocabularySettings
from beauty_rec.towers.items.inputs import ItemInputs, item_inputs

ATTRIBUTES = pl.DataFrame(
    {
        "parent_asin": ["a", "b", "c"],
        "roast": ["dark", "light", None],
        "category": ["beans", None, "beans"],
        "taste": [["nutty"], [], ["cocoa"]],
    }
)


def inputs(attributes: pl.DataFrame) -> ItemInputs:
    known = Vocabulary.build(attributes, None, VocabularySettings(min_count=1))
    settings = Settings.model_validate({"item_tower": {"event_values": True}})
    titles = pl.DataFrame({"parent_asin": ["a"], "title": ["Whole beans"]})
    return item_inputs(attributes, known, titles, pl.DataFrame(), pl.DataFrame(), settings)


def test_items_of_no_known_category_have_no_class() -> None:
    found = inputs(ATTRIBUTES)
    assert found.class_field == 1
    assert found.classes.tolist() == [found.features.std[0, 1], -1, found.features.std[2, 1]]


def test_a_domain_may_have_no_category() -> None:
    found = inputs(ATTRIBUTES.drop("category"))
    assert found.class_field is None
    assert found.classes.tolist() == [-1, -1, -1]
    assert found.features.std.shape == (3, 1)
