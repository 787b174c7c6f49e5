"""What train events say of an item can be taken out, or set back: no model sees the future."""

import json

import polars as pl

from beauty_rec.items.event_values import without_event_values
from beauty_rec.settings import AttributeSettings

SETTINGS = AttributeSettings()


def test_only_columns_that_events_fill_are_emptied() -> None:
    reviews = pl.DataFrame(
        {
            "user_id": [f"u{n}" for n in range(40)],
            "parent_asin": ["a", "b"] * 20,
            "timestamp": list(range(40)),
            "context": ["wedding", "work"] * 20,
            "extras": [json.dumps({"fit": "small"}), json.dumps({"fit": "large"})] * 20,
            "split": ["train"] * 40,
        }
    )
    attributes = pl.DataFrame(
        {
            "parent_asin": ["a", "b"],
            "category": ["dress", "gown"],
            "color": [["red"], ["blue"]],
            "context": [["wedding"], ["work"]],
            "fit": [["small"], ["large"]],
            "summary": ["", ""],
            "source": ["rules/1"] * 2,
        }
    )
    bare = without_event_values(attributes, reviews, None, SETTINGS)
    assert bare["context"].to_list() == bare["fit"].to_list() == [[], []]
    kept = ["parent_asin", "category", "color", "summary", "source"]
    assert bare.select(kept).equals(attributes.select(kept))
    assert bare.schema == attributes.schema
