"""Training pairs."""

from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beauty_rec.items.text import ItemTextBuilder, merge_items
from beauty_rec.retriever.pairs import training_pairs, without_near_duplicates, words_in_order
from beauty_rec.settings import ItemTextSettings, PairSettings

KINDS = {kind: pl.List(pl.String) for kind in ("who", "when", "why")}
REVIEWS = pl.DataFrame(
    {
        "review_id": ["r1", "r2", "r3", "r4", "r5"],
        "parent_asin": ["B1", "B1", "B1", "B2", "B3"],
        "rating": [5.0, 4.0, 1.0, 5.0, 5.0],
        "text": [
            "My hair feels soft after one wash.",
            "Smells of coconut, lasts for two days.",
            "Broke after a week, a waste of money.",
            "Nobody else has reviewed this razor.",
            "Sharp and light, a fine razor for me.",
        ],
    }
)
KEYWORDS = pl.DataFrame(
    {
        "review_id": ["r1", "r2", "r3", "r4", "r5"],
        "parent_asin": ["B1", "B1", "B1", "B2", "B3"],
        "who": [[], [], [], [], []],
        "when": [["after one wash"], [], [], [], []],
        "why": [["soft hair"], ["smells of coconut"], ["broke in a week"], ["none"], ["sharp"]],
    },
    schema_overrides=KINDS,
)
ITEMS = pl.DataFrame(
    {"parent_asin": ["B3"], "title": ["Safety razor"], "features": [[]]},
    schema_overrides={"features": pl.List(pl.String)},
)


def count(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def pairs(reviews: pl.DataFrame = REVIEWS, **changes: object) -> pl.DataFrame:
    return training_pairs(
        reviews, KEYWORDS, ITEMS, PairSettings(**changes), ItemTextSettings(), count
    )


def test_of_the_pairs_that_are_drawn_alone_the_texts_are_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built: list[str | None] = []
    plain = ItemTextBuilder.text

    def text(builder: ItemTextBuilder, parent_asin: str, without: str | None = None) -> str:
        built.append(without)
        return plain(builder, parent_asin, without)

    monkeypatch.setattr(ItemTextBuilder, "text", text)
    every = pairs()
    built.clear()
    for most in (2, every.height):
        some = pairs(max_pairs=most)
        assert some.height == most
        assert set(some.iter_rows()) <= set(every.iter_rows())
        # Beside those of the pairs, at most the empty ones of items that nobody else has reviewed.
        assert len(built) <= most + 1
        built.clear()


def test_positives_hold_nothing_of_the_querys_own_review() -> None:
    positives = dict(pairs().select("review_id", "positive").iter_rows())
    assert positives["r1"] == "[Review Keywords] broke in a week; smells of coconut"
    assert "soft hair" in positives["r2"]
    assert "coconut" not in positives["r2"]


def test_low_ratings_are_no_positives_and_lonely_reviews_are_dropped() -> None:
    assert pairs()["review_id"].to_list() == ["r1", "r2", "r5"]
    assert pairs(min_rating=1)["review_id"].to_list() == ["r1", "r2", "r3", "r5"]


def test_metadata_keeps_an_item_with_one_review() -> None:
    assert pairs().filter(pl.col("review_id") == "r5")["positive"].item() == "[Title] Safety razor"


@pytest.mark.parametrize(("query_type", "queries"), [("keywords", 1), ("both", 4)])
def test_query_types(query_type: str, queries: int) -> None:
    frame = pairs(query_type=query_type)
    assert len(frame) == queries
    assert "soft hair; after one wash" in frame["query"].to_list()


def test_near_duplicates_of_one_item_are_dropped_and_of_two_items_kept() -> None:
    same = REVIEWS.with_columns(text=pl.lit("Works great on my short curly beard!"))
    assert pairs(same)["parent_asin"].to_list() == ["B1", "B3"]


def test_a_bestseller_is_capped_the_same_way_whatever_the_order() -> None:
    capped = pairs(max_pairs_per_item=1)
    assert capped["parent_asin"].to_list() == ["B1", "B3"]
    assert pairs(REVIEWS.reverse(), max_pairs_per_item=1).equals(capped)


def test_a_cap_on_all_pairs_draws_the_same_ones_again() -> None:
    two = pairs(max_pairs=2)
    assert len(two) == 2
    assert pairs(REVIEWS.reverse(), max_pairs=2).equals(two)
    assert set(two["review_id"]) < set(pairs()["review_id"])


def test_no_reviews_give_an_empty_frame() -> None:
    assert pairs(REVIEWS.clear()).shape == (0, 4)


def test_the_full_text_stands_in_the_index_and_the_cut_one_in_training() -> None:
    merged = merge_items(ITEMS, None, KEYWORDS, ItemTextSettings(), count)
    full = dict(merged.select("parent_asin", "text").iter_rows())["B1"]
    assert all(words in full for words in ("soft hair", "coconut", "broke in a week"))


SENTENCES = st.lists(
    st.lists(st.sampled_from("hair soft wash glow"), min_size=1, max_size=9).map(" ".join),
    max_size=8,
)


@given(SENTENCES)
@settings(max_examples=60)
def test_kept_queries_have_no_near_duplicates_by_a_slow_reference(queries: list[str]) -> None:
    def shingles(text: str) -> set[tuple[str, ...]]:
        own = list(words_in_order(text))
        return {tuple(own[i : i + 3]) for i in range(max(1, len(own) - 2))}

    def alike(left: str, right: str) -> bool:
        a, b = shingles(left), shingles(right)
        return len(a & b) / len(a | b) >= 0.8

    kept = without_near_duplicates(queries, 0.8)
    assert kept == sorted(set(kept))
    for i, query in enumerate(queries):
        earlier = [queries[j] for j in kept if j < i]
        # Sketches of four may miss a likeness of long texts, never invent one.
        if i not in kept:
            assert any(alike(query, other) for other in earlier)
        elif query in earlier:
            pytest.fail("an exact repeat was kept")
