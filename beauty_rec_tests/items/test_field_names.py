"""A field of the data may have any name: also one that the code, or Polars, has a use for."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from beauty_rec.corpus.schema import ITEM_SCHEMA
from beauty_rec.events.arrays import read_events
from beauty_rec.items.attributes import item_attributes
from beauty_rec.items.domain import load_domain
from beauty_rec.items.event_values import without_event_values
from beauty_rec.items.past.attributes import AttributeHistory
from beauty_rec.items.rules import RulesAttributeExtractor
from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.ranking.features.item_events import ItemEvents
from beauty_rec.ranking.features.spec import FeatureSpec
from beauty_rec.settings import AttributeSettings, RankingSettings, VocabularySettings
from beauty_rec.towers.users.profiles import ProfileEncoder

SETTINGS, DOMAIN = AttributeSettings(), load_domain("beauty")
RULES = RulesAttributeExtractor(DOMAIN, SETTINGS)
EVENTS = 40
TAKEN = {"category", "brand", "summary", "source"}
"""Columns of one text; what events say in a field of such a name has a column of its own."""


@pytest.mark.parametrize(
    "name",
    ["count", "values", "value", "values_right", "len", "row", "index", "literal", "split", "field",
     "n", "events", "said", "label", "review_id", "user_id_right", "re", "keywords", "title",
     "*", "^.*$", "^e.*$", "a.b", "größe", "", *sorted(TAKEN)],
)  # fmt: skip
def test_a_field_of_any_name_is_read_as_any_other(name: str) -> None:
    extras = [json.dumps({name: size}) for size in ("small", "large")]
    reviews = pl.DataFrame(
        {
            "review_id": [f"r{n}" for n in range(EVENTS)],
            "user_id": [f"u{n}" for n in range(EVENTS)],
            "parent_asin": ["a", "b"] * (EVENTS // 2),
            "timestamp": range(EVENTS),
            "rating": [5.0] * EVENTS,
            "context": pl.Series([None] * EVENTS, dtype=pl.String),
            "extras": extras * (EVENTS // 2),
            "split": ["train"] * EVENTS,
        }
    )
    profiles = pl.DataFrame({"user_id": reviews["user_id"], name: np.arange(EVENTS) / 2})
    told = reviews.select("review_id", "parent_asin", who=["dry skin"], when=["now"], why=["soft"])
    titles = {"a": "rose soap", "b": "mint balm"}
    items = pl.DataFrame(
        [{"parent_asin": item, "title": title} for item, title in titles.items()],
        schema=ITEM_SCHEMA,
    )

    found = item_attributes(RULES, items, reviews, told, profiles, SETTINGS)
    column = f"event_{name}" if name in TAKEN else name
    assert found[column].to_list() == [["small"], ["large"]]

    vocabulary = Vocabulary.build(found, None, VocabularySettings(min_count=1))
    ids = [vocabulary.id_of(column, size) for size in ("small", "large")]
    assert [i in row for i, row in zip(ids, vocabulary.encode(found).re, strict=True)] == [True] * 2

    for extractor in (RULES, None):
        past = AttributeHistory(
            found, items, reviews, told, profiles, SETTINGS, DOMAIN, extractor
        ).before(EVENTS // 2)
        assert past.schema == found.schema
        assert past[column].to_list() == [["small"], ["large"]]
    bare = without_event_values(found, reviews, profiles, SETTINGS)
    assert bare.schema == found.schema
    assert bare[column].to_list() == [[], []]

    assert read_events(reviews, ["a", "b"]).tag_values == {name: ["large", "small"]}
    settings = RankingSettings()
    spec = FeatureSpec.layout(vocabulary, profiles, reviews, settings)
    assert spec.numbers == [name]
    item = np.arange(EVENTS) % 2
    of_items = ItemEvents.build(reviews, item, 2, profiles, spec, EVENTS, settings)
    assert of_items.fit.any()
    encoder = ProfileEncoder.fit(profiles, profiles["user_id"].to_list())
    assert encoder.known(encoder.encode(profiles)).all()


def test_a_domain_says_which_names_it_cannot_have(tmp_path: Path) -> None:
    for name in ("re", "source", "_tone", "model_year"):
        path = tmp_path / "shop.toml"
        path.write_text(f'name = "shop"\n[std.{name}]\nvalues = {{ a = [], b = [] }}\n[re.count]\n')
        with pytest.raises(ValueError, match=f"field names taken .*'{name}'"):
            load_domain(str(path))
