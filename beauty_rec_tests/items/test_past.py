"""Items as they stood at a moment: what was said later is in neither attributes nor texts."""

import json
from collections.abc import Sequence

import polars as pl
import pytest

from beauty_rec.corpus.schema import ITEM_SCHEMA
from beauty_rec.items.attributes import item_attributes
from beauty_rec.items.domain import load_domain
from beauty_rec.items.past.attributes import AttributeHistory
from beauty_rec.items.past.texts import past_texts
from beauty_rec.items.rules import RulesAttributeExtractor
from beauty_rec.items.text import merge_items, word_background
from beauty_rec.settings import AttributeSettings, ItemTextSettings

SETTINGS = AttributeSettings()
FASHION = load_domain("fashion")
MOMENTS = [10_000, 20_000, 30_000, 45_000, 60_000]
RULES = RulesAttributeExtractor(FASHION, SETTINGS)


def _events() -> pl.DataFrame:
    """Sixty events, one a second: from the 30th on c sells too, and a goes to parties.

    Nothing is known of c but its buyers.
    """
    early, late = ["a", "b"] * 15, ["a", "b", "c"] * 10
    context = ["wedding", "work"] * 15 + ["party", "work", "party"] * 10
    return pl.DataFrame(
        {
            "review_id": [f"r{n:02}" for n in range(60)],
            "user_id": [f"u{n % 20}" for n in range(60)],
            "parent_asin": early + late,
            "timestamp": [n * 1_000 for n in range(60)],
            "context": context,
            "extras": [json.dumps({"fit": ["small", "large"][n % 2]}) for n in range(60)],
            "split": ["train"] * 60,
        }
    )


def _keywords(reviews: pl.DataFrame) -> pl.DataFrame:
    colour = pl.when(pl.col("timestamp") < 30_000).then(pl.lit("red")).otherwise(pl.lit("blue"))
    return reviews.select(
        "review_id",
        "parent_asin",
        who=pl.concat_list(pl.col("user_id")),
        when=pl.concat_list(pl.col("context")),
        why=pl.concat_list(colour),
    )


def _profiles() -> pl.DataFrame:
    heights = {"user_id": [f"u{n}" for n in range(20)], "height_cm": [150.0 + n for n in range(20)]}
    return pl.DataFrame(heights)


def _items() -> pl.DataFrame:
    rows = {"parent_asin": ["a", "b"], "title": ["Relaxed fit dress", "Gown"]}
    lacking = {name: dtype for name, dtype in ITEM_SCHEMA.items() if name not in rows}
    return pl.DataFrame(rows).with_columns(pl.lit(None, t).alias(n) for n, t in lacking.items())


def _made(reviews: pl.DataFrame) -> pl.DataFrame:
    keywords = _keywords(reviews)
    return item_attributes(RULES, _items(), reviews, keywords, _profiles(), SETTINGS)


@pytest.mark.parametrize("moment", [0, *MOMENTS])
def test_attributes_are_those_of_what_was_known(moment: int) -> None:
    reviews = _events()
    whole = _made(reviews)
    history = AttributeHistory(
        whole, _items(), reviews, _keywords(reviews), _profiles(), SETTINGS, FASHION, RULES
    )
    back = history.before(moment)
    assert back.schema == whole.schema
    expected = _made(reviews.filter(pl.col("timestamp") < moment))
    assert back["parent_asin"].to_list() == expected["parent_asin"].to_list()
    # The bands of heights are those of all buyers, so they are not compared.
    for name in (c for c in whole.columns if not c.startswith("buyer_")):
        lacks = pl.Series([[]] * back.height, dtype=pl.List(pl.String))
        assert back[name].to_list() == expected.get_column(name, default=lacks).to_list(), name


def test_a_value_that_only_later_buyers_named_is_taken_out_of_what_a_model_read() -> None:
    reviews = _events()
    whole = _made(reviews).with_columns(
        category=pl.Series(["dress", "gown", "skirt"]),
        color=pl.Series([["red", "blue"], ["blue"], ["blue"]]),
        summary=pl.Series(["A dress.", "", "Blue, say its buyers."]),
    )
    history = AttributeHistory(
        whole, _items(), reviews, _keywords(reviews), _profiles(), SETTINGS, FASHION, None
    )
    before, after = history.before(30_000), history.before(60_000)
    assert before["color"].to_list() == [["red"], []]
    assert before["category"].to_list() == ["dress", "gown"]
    assert after["color"].to_list() == [["red", "blue"], ["blue"], ["blue"]]
    # Nothing but its reviews is known of c, so none of them is trusted with its kind.
    assert after.filter(parent_asin="c").select("category", "summary").row(0) == (None, "")


@pytest.mark.parametrize("source", ["model/attributes-1+summary-1", RULES.source])
def test_one_value_of_few_is_known_once_somebody_says_it(source: str) -> None:
    reviews = _events()
    young = pl.when(pl.col("timestamp") < 30_000).then(pl.lit("red")).otherwise(pl.lit("for teens"))
    keywords = _keywords(reviews).join(reviews.select("review_id", "timestamp"), on="review_id")
    keywords = keywords.with_columns(why=pl.concat_list(young)).drop("timestamp")
    # A model is asked about b without its shoppers, of whom the rules always hear.
    items = _items().with_columns(
        title=pl.Series(["Relaxed fit dress by Zarva", "Gown"]),
        description=pl.Series(["Soft.", "For her first ball. " * 20]),
    )
    whole = _made(reviews).with_columns(
        age_group=pl.Series(["teen"] * 3),
        brand=pl.Series(["zarva", "lumi", None], dtype=pl.String),
        category=pl.Series(["dress", "gown", None], dtype=pl.String),
        source=pl.lit(source),
    )
    history = AttributeHistory(
        whole, items, reviews, keywords, _profiles(), SETTINGS, FASHION, None
    )
    heard_of = source == RULES.source
    before, after = history.before(30_000), history.before(60_000)
    assert before["category"].to_list() == ["dress", "gown"]
    assert before["age_group"].to_list() == [None, None if heard_of else "teen"]
    assert before["brand"].to_list() == ["zarva", None if heard_of else "lumi"]
    assert after["age_group"].to_list() == ["teen", "teen", None]


def test_texts_are_those_of_the_keywords_before() -> None:
    def count(texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    reviews = _events()
    keywords, settings = _keywords(reviews), ItemTextSettings()
    known = [(moment, _made(reviews.filter(pl.col("timestamp") < moment))) for moment in MOMENTS]
    background = word_background(keywords.head(10))
    seen = []
    for moment, attributes, texts in past_texts(
        known, _items(), reviews, keywords, settings, count
    ):
        before = keywords.head(moment // 1_000)
        expected = merge_items(_items(), attributes, before, settings, count, background)
        assert texts.equals(expected.select("parent_asin", "title", "text"))
        seen.append(texts["text"].to_list())
    assert len(seen) == len(MOMENTS)
    assert len(seen[0]) == 2 < len(seen[-1])  # c comes with its first buyer
    assert "blue" not in " ".join(seen[0])
    assert "blue" in " ".join(seen[-1])
