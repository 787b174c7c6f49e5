"""Item text: sections, budget, leave-one-out, what may feed it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beauty_rec.events.item_ranges import item_ranges
from beauty_rec.items import text as item_text
from beauty_rec.items.text import ItemTextBuilder, merge_items, word_background
from beauty_rec.row_cache import ReusedRows
from beauty_rec.settings import ItemTextSettings


def count(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


ITEMS = pl.DataFrame(
    {
        "parent_asin": ["B1", "B2", "B3"],
        "title": ["Rose face oil", "", "Comb"],
        "features": [["30 ml", "vegan"], [], []],
    },
    schema_overrides={"features": pl.List(pl.String)},
)
KEYWORDS = pl.DataFrame(
    {
        "review_id": ["r1", "r2", "r3", "r4"],
        "parent_asin": ["B1", "B1", "N9", "B2"],
        "who": [["dry skin"], [], ["my mother"], []],
        "when": [["at night"], [], [], []],
        "why": [["no greasy film"], ["smells of roses"], ["curls that last"], []],
    },
    schema_overrides={kind: pl.List(pl.String) for kind in ("who", "when", "why")},
)


def merged(
    settings: ItemTextSettings | None = None, attributes: pl.DataFrame | None = None
) -> dict[str, str]:
    frame = merge_items(ITEMS, attributes, KEYWORDS, settings or ItemTextSettings(), count)
    return dict(frame.select("parent_asin", "text").iter_rows())


def test_sections_stand_in_order_and_empty_ones_are_left_out() -> None:
    attributes = pl.DataFrame({"parent_asin": ["B1"], "summary": ["A light oil."]})
    texts = merged(attributes=attributes)
    labels = ["[Title]", "[Review Keywords]", "[Description Summary]", "[Features]"]
    places = [texts["B1"].index(label) for label in labels]
    assert places == sorted(places)
    assert texts["B3"] == "[Title] Comb"


def test_items_of_reviews_alone_get_a_text_and_items_without_any_are_absent() -> None:
    texts = merged()
    assert texts["N9"] == "[Review Keywords] curls that last; my mother"
    assert list(texts) == ["B1", "B3", "N9"]


def test_leave_one_out_removes_only_that_review() -> None:
    builder = ItemTextBuilder(ITEMS, None, KEYWORDS, ItemTextSettings(), count)
    text = builder.text("B1", without="r1")
    assert "roses" in text
    assert "greasy" not in text
    assert "dry skin" not in text
    assert builder.text("N9", without="r3") == ""


def test_a_keyword_that_two_reviews_share_survives_leaving_out_one() -> None:
    twice = KEYWORDS.with_columns(
        parent_asin=pl.lit("N9"),
        why=pl.when(pl.col("review_id").is_in(["r3", "r4"]))
        .then(pl.lit(["keeps its curl"]))
        .otherwise(pl.lit(["a red box"])),
    )
    builder = ItemTextBuilder(ITEMS, None, twice, ItemTextSettings(), count)
    assert "keeps its curl" in builder.text("N9", without="r3")


def test_only_the_latest_reviews_are_used() -> None:
    builder = ItemTextBuilder(ITEMS, None, KEYWORDS, ItemTextSettings(max_reviews=1), count)
    assert builder.keywords("B1") == ["smells of roses"]


@given(
    st.integers(16, 60),
    st.lists(st.text("abc d", max_size=20), max_size=8),
    st.lists(st.text("xyz ", max_size=30), max_size=4),
    st.text("tuv ", max_size=90),
)
@settings(max_examples=80)
def test_the_text_fits_the_budget(
    budget: int, phrases: list[str], features: list[str], title: str
) -> None:
    items = pl.DataFrame(
        {"parent_asin": ["B1"], "title": [title], "features": [features]},
        schema_overrides={"features": pl.List(pl.String)},
    )
    keywords = pl.DataFrame(
        {"review_id": ["r"], "parent_asin": ["B1"], "who": [[]], "when": [[]], "why": [phrases]},
        schema_overrides={kind: pl.List(pl.String) for kind in ("who", "when", "why")},
    )
    attributes = pl.DataFrame({"parent_asin": ["B1"], "summary": ["m " * 30]})
    settings = ItemTextSettings(max_tokens=budget)
    frame = merge_items(items, attributes, keywords, settings, count)
    for text in frame["text"]:
        assert text.strip()
        assert count([text])[0] <= budget


def test_a_title_that_is_cut_behind_a_bracket_stays() -> None:
    title = "Lash mascara [Pack of 3] black, waterproof, with a brush of bamboo fibres"
    items = ITEMS.with_columns(title=pl.lit(title))
    builder = ItemTextBuilder(items, None, KEYWORDS.clear(), ItemTextSettings(max_tokens=24), count)
    assert builder.text("B3") == "[Title] Lash mascara [Pack of 3]"


def test_equal_input_gives_equal_bytes_whatever_the_order_of_items() -> None:
    first = merge_items(ITEMS, None, KEYWORDS, ItemTextSettings(), count)
    second = merge_items(ITEMS.reverse(), None, KEYWORDS, ItemTextSettings(), count)
    assert first.equals(second)


def test_display_only_columns_do_not_reach_the_text() -> None:
    shown = ITEMS.with_columns(average_rating=pl.lit(4.9), rating_number=pl.lit(12345))
    assert merge_items(shown, None, KEYWORDS, ItemTextSettings(), count).equals(
        merge_items(ITEMS, None, KEYWORDS, ItemTextSettings(), count)
    )


@pytest.mark.parametrize("items", [ITEMS.clear(), ITEMS])
def test_no_keywords_and_no_items_are_no_error(items: pl.DataFrame) -> None:
    frame = merge_items(items, None, KEYWORDS.clear(), ItemTextSettings(), count)
    assert len(frame) == (2 if len(items) else 0)
    assert frame.columns == ["parent_asin", "title", "text", "keywords"]


def test_a_few_items_at_a_time_get_the_same_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = (ItemTextSettings(), count)
    whole = merge_items(ITEMS, None, KEYWORDS, *arguments)
    monkeypatch.setattr(item_text, "item_ranges", partial(item_ranges, most_rows=1))
    assert merge_items(ITEMS.lazy(), None, KEYWORDS.lazy(), *arguments).equals(whole)


def test_only_what_is_new_of_an_item_makes_its_text_anew(tmp_path: Path) -> None:
    background = word_background(KEYWORDS)

    def texts(items: pl.DataFrame, keywords: pl.DataFrame) -> tuple[pl.DataFrame, int]:
        given = (items, None, keywords, ItemTextSettings(), count, background)
        with ReusedRows(tmp_path, "rows", "maker") as reused:
            made = merge_items(*given, reused.rows)
        assert made.equals(merge_items(*given))
        return made, reused.computed

    assert texts(ITEMS, KEYWORDS)[1] == 4  # one of which has no text
    assert texts(ITEMS, KEYWORDS)[1] == 0
    said = KEYWORDS.with_columns(why=pl.col("why").list.concat(pl.lit(["no clumps"])))
    assert texts(ITEMS, KEYWORDS.vstack(said.tail(1)))[1] == 1
    assert texts(ITEMS.with_columns(title=pl.lit("Comb")), KEYWORDS)[1] == 2  # B3 is one
    twins = ITEMS.filter(parent_asin="B3").with_columns(parent_asin=pl.lit("B4"))
    made, computed = texts(ITEMS.vstack(twins), KEYWORDS)
    assert computed == 0
    assert (
        made.filter(pl.col("parent_asin").is_in(["B3", "B4"]))["text"].to_list()
        == ["[Title] Comb"] * 2
    )
