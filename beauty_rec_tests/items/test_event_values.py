"""What train events say of an item can be taken out, or set back: no model sees the future."""

import json

import polars as pl
import pytest

from beauty_rec.corpus.schema import ITEM_SCHEMA
from beauty_rec.items.attributes import item_attributes
from beauty_rec.items.domain import load_domain
from beauty_rec.items.event_values import EventValueHistory, without_event_values
from beauty_rec.items.rules import RulesAttributeExtractor
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


def _events() -> pl.DataFrame:
    """Sixty events, one a second: from the 30th on c sells too, and a goes to parties."""
    early, late = ["a", "b"] * 15, ["a", "b", "c"] * 10
    context = ["wedding", "work"] * 15 + ["party", "work", "party"] * 10
    return pl.DataFrame(
        {
            "user_id": [f"u{n % 20}" for n in range(60)],
            "parent_asin": early + late,
            "timestamp": [n * 1_000 for n in range(60)],
            "context": context,
            "extras": [json.dumps({"fit": ["small", "large"][n % 2]}) for n in range(60)],
            "split": ["train"] * 60,
        }
    )


def _profiles() -> pl.DataFrame:
    heights = {"user_id": [f"u{n}" for n in range(20)], "height_cm": [150.0 + n for n in range(20)]}
    return pl.DataFrame(heights)


def _items() -> pl.DataFrame:
    rows = {"parent_asin": ["a", "b", "c"], "title": ["Relaxed fit dress", "Gown", "Loose top"]}
    lacking = {name: dtype for name, dtype in ITEM_SCHEMA.items() if name not in rows}
    return pl.DataFrame(rows).with_columns(pl.lit(None, t).alias(n) for n, t in lacking.items())


@pytest.mark.parametrize("moment", [0, 20_000, 30_000, 45_000, 60_000])
def test_set_back_they_are_those_of_the_events_before(moment: int) -> None:
    extractor = RulesAttributeExtractor(load_domain("fashion"), SETTINGS)
    reviews = _events()

    def made(known: pl.DataFrame) -> pl.DataFrame:
        return item_attributes(extractor, _items(), known, None, _profiles(), SETTINGS)

    whole = made(reviews)
    back = EventValueHistory(whole, reviews, _profiles(), SETTINGS).before(moment)
    assert back.schema == whole.schema
    # The bands of heights are those of all buyers, so they are not compared.
    expected = made(reviews.filter(pl.col("timestamp") < moment))
    for name in (c for c in whole.columns if not c.startswith("buyer_")):
        lacks = pl.Series([[]] * 3, dtype=pl.List(pl.String))
        assert back[name].to_list() == expected.get_column(name, default=lacks).to_list(), name
    if moment <= 30_000:
        newcomer = back.filter(parent_asin="c")
        assert newcomer["buyer_height_cm"].to_list() == newcomer["context"].to_list() == [[]]
