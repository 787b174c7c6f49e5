"""Attributes of items: by rules from metadata, and by what train events say."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from beauty_rec.events.item_ranges import item_ranges
from beauty_rec.items import event_evidence
from beauty_rec.items.attributes import choose_domain, coverage, item_attributes, record_model
from beauty_rec.items.brand import BrandClues, find_brands
from beauty_rec.items.domain import load_domain
from beauty_rec.items.event_evidence import band, buyer_steps, telling
from beauty_rec.items.rules import RulesAttributeExtractor
from beauty_rec.row_cache import ReusedRows
from beauty_rec.settings import AttributeSettings

SETTINGS = AttributeSettings()
SCHEMA: dict[str, Any] = {
    "parent_asin": pl.String, "title": pl.String, "store": pl.String, "price": pl.Float32,
    "features": pl.List(pl.String), "description": pl.String, "categories": pl.List(pl.String),
    "category": pl.String, "details": pl.String, "average_rating": pl.Float32,
    "rating_number": pl.Int32,
}  # fmt: skip


def item(asin: str, title: str | None, **more: Any) -> dict[str, Any]:
    empty = {"features": [], "description": "", "categories": [], "details": {}}
    row = {"parent_asin": asin, "title": title, **empty, **more}
    return {**dict.fromkeys(SCHEMA), **row, "details": json.dumps(row["details"])}


def read(*rows: dict[str, Any], domain: str = "beauty") -> list[dict[str, Any]]:
    """What the rules make of items, in their order."""
    extractor = RulesAttributeExtractor(load_domain(domain), SETTINGS)
    frame = pl.DataFrame(rows, schema=SCHEMA)
    said = frame.with_columns(keywords=pl.lit([], dtype=pl.List(pl.String)))
    return extractor.extract(said).to_dicts()


def reviews(rows: Sequence[tuple[str, str, str | None, str]], split: str = "train") -> pl.DataFrame:
    """Rows of (item, user, context, fit)."""
    return pl.DataFrame(
        {
            "review_id": [f"r{i}" for i in range(len(rows))],
            "parent_asin": [row[0] for row in rows],
            "user_id": [row[1] for row in rows],
            "timestamp": list(range(len(rows))),
            "rating": [5.0] * len(rows),
            "context": [row[2] for row in rows],
            "extras": [json.dumps({"fit": row[3], "order": i}) for i, row in enumerate(rows)],
            "split": [split] * len(rows),
        }
    )


def gather(
    items: pl.DataFrame,
    train: pl.DataFrame,
    keywords: pl.DataFrame | None = None,
    profiles: pl.DataFrame | None = None,
) -> pl.DataFrame:
    extractor = RulesAttributeExtractor(load_domain("fashion"), SETTINGS)
    return item_attributes(extractor, items, train, keywords, profiles, SETTINGS)


def test_a_title_is_read() -> None:
    (told,) = read(
        item(
            "a",
            "Zarva Night Cream for Women, Paraben Free, with Hyaluronic Acid for Dry Skin",
        )
    )
    assert told["category"] == "moisturizer"
    assert told["gender"] == "women"
    assert told["ingredient"] == ["hyaluronic acid"]
    assert told["skin_type"] == ["dry"]
    assert told["benefit"] == ["paraben free"]
    assert told["form"] == ["cream"]
    assert told["summary"] == ""
    assert told["source"] == "rules/1"


def test_the_head_of_a_title_names_the_category() -> None:
    told = read(
        item("a", "Shampoo Brush - scalp massager"),
        item("b", "Rosy | Forever Red Lipstick with lip balm"),
    )
    assert [row["category"] for row in told] == ["shampoo", "lipstick"]


def test_details_come_first_and_re_is_open() -> None:
    (told,) = read(
        item("a", "Lavender Soap for men", details={"Gender": "Women", "Scent": "Yuzu Leaf, Rose"})
    )
    assert told["gender"] == "women"
    assert told["scent"] == ["yuzu leaf", "floral", "lavender"]


def test_men_and_women_is_unisex() -> None:
    assert read(item("a", "Soap for men and women"))[0]["gender"] == "unisex"


def test_an_empty_item_has_an_empty_record() -> None:
    (told,) = read(item("a", None, features=None, description=None, categories=None))
    domain = load_domain("beauty")
    assert all(told[name] is None for name in domain.std)
    assert all(told[name] == [] for name in domain.re)
    assert told["summary"] == ""


def test_the_summary_keeps_short_telling_phrases_in_order() -> None:
    text = (
        "Welcome to our shop. A gentle gel for oily skin! Call us anytime. "
        "With tea tree and aloe vera, it calms acne, redness and irritation all over your face "
        "and neck every single day. Made by us."
    )
    phrases = read(item("a", "Gel", description=text))[0]["summary"].split("; ")
    assert phrases[0] == "A gentle gel for oily skin!"
    assert phrases[1].startswith("With tea tree and aloe vera")
    assert len(phrases) == 2
    assert all(len(phrase.split()) <= SETTINGS.max_summary_words for phrase in phrases)


def test_brand_is_checked_with_the_title() -> None:
    clues = [
        BrandClues("Lumi Rose Water", ["Lumi"]),
        BrandClues("Lumi Night Cream", ["MegaMart"]),
        BrandClues("Satin Scrunchies", ["MegaMart"]),
        BrandClues("Bath Salt", ["MegaMart"]),
        BrandClues("Zarva Nail File", []),
        BrandClues("Zarva Nail Clipper", []),
        BrandClues("Nail Clipper", []),
        BrandClues("Steel Comb", ["Tiny Maker"]),
        BrandClues("Gift Book", [", ".join(f"Author {n}" for n in range(600))]),
        BrandClues(f"{'x' * 300} Book", ["y" * 300]),
    ]
    common = {"nail", "satin", "bath", "steel"}
    brands = find_brands(clues, common)
    assert brands[:8] == ["lumi", "lumi", None, None, "zarva", "zarva", None, "tiny maker"]
    assert brands[8:] == [None, None]


def test_a_brand_is_told_as_it_is_written() -> None:
    clues = [
        BrandClues("Hermes Terre for men", ["Hermès"]),
        BrandClues("HERMES Silk Soap", ["Hermès"]),
        BrandClues("Hermès Comb", []),
        BrandClues("Burts Bees Balm", ["Burt's  Bees"]),
        BrandClues("Balm", ["Burt's Bees", "burts bees"]),
        BrandClues("Dr. Bronner's, Lavender", []),
        BrandClues("Dr. Bronner's Peppermint", []),
        BrandClues("dr Bronners Rose", []),
    ]
    brands = find_brands(clues, {"lavender", "peppermint", "rose"})
    assert brands == ["hermès"] * 3 + ["burt's bees"] * 2 + ["dr. bronner's"] * 3
    rows = [item("a", "Terre", store="Hermès"), item("b", "Balm", details={"Brand": "Burt's Bees"})]
    assert [row["brand"] for row in read(*rows)] == ["hermès", "burt's bees"]


def test_records_are_validated() -> None:
    record = record_model(load_domain("beauty"))
    told = record.model_validate(
        {"category": "soap", "brand": "NYX", "scent": [" Rose  Oil", "rose oil", "", "x" * 61]}
    )
    assert told.model_dump()["brand"] == "nyx"
    assert told.model_dump()["scent"] == ["rose oil"]
    for wrong in ({"category": "spaceship"}, {"colour": "red"}, {"scent": "rose"}):
        with pytest.raises(ValidationError):
            record.model_validate(wrong)
    assert "spaceship" not in json.dumps(record.model_json_schema())


def test_the_domain_is_chosen_by_the_titles() -> None:
    dresses = pl.DataFrame([item("a", "dress"), item("b", "gown")], schema=SCHEMA)
    creams = pl.DataFrame([item("a", "night cream"), item("b", "lipstick")], schema=SCHEMA)
    assert choose_domain(dresses, "auto").name == "fashion"
    assert choose_domain(creams, "auto").name == "beauty"
    assert choose_domain(creams, "fashion").name == "fashion"
    with pytest.raises(ValueError, match="no domain 'cars'"):
        choose_domain(creams, "cars")


def test_a_domain_of_another_shop_is_seen_to_be_wrong() -> None:
    sold = [item("a", "Toy Story (1995)", store="Disney"), item("b", "GoldenEye (1995)")]
    rows = [(name, f"u{number}", None, "fit") for name in "ab" for number in range(20)]
    profiles = pl.DataFrame(
        {"user_id": [f"u{number}" for number in range(20)], "age": [20.0, 40.0] * 10}
    )
    films = gather(pl.DataFrame(sold, schema=SCHEMA), reviews(rows), profiles=profiles)
    films = films.with_columns(buyer_age=pl.lit(["20 to 24"]))  # as popular ones have it
    assert films["brand"].to_list() == ["disney", None]
    assert coverage(films, load_domain("fashion")) == 0
    sold.append(item("c", "red dress"))
    mixed = gather(pl.DataFrame(sold, schema=SCHEMA), reviews(rows))
    assert coverage(mixed, load_domain("fashion")) == pytest.approx(1 / 3)
    assert coverage(mixed.head(0), load_domain("fashion")) == 0


def test_events_tell_what_sets_an_item_apart() -> None:
    rows = [("a", f"u{i}", "wedding" if i < 8 else "work", "small") for i in range(10)]
    rows += [("b", f"u{i}", "work" if i < 8 else "wedding", "fit") for i in range(10)]
    profiles = pl.DataFrame(
        {"user_id": [f"u{i}" for i in range(10)], "height_cm": [150.0 + 5 * i for i in range(10)],
         "shape": ["Pear", "apple"] * 5}
    )  # fmt: skip
    items = pl.DataFrame([item("a", "dress")], schema=SCHEMA)
    told = gather(items, reviews(rows), profiles=profiles)
    assert told["parent_asin"].to_list() == ["a", "b"]
    assert told["context"].to_list() == [["wedding"], ["work"]]
    assert told["fit"].to_list() == [["small"], ["fit"]]
    # The same users took both: their profiles set neither apart. An order number is no category.
    assert "order" not in told.columns
    assert told.get_column("buyer_shape", default=pl.Series([[]])).list.len().sum() == 0
    assert told["category"].to_list() == ["dress", None]


def test_long_numbers_are_told_apart() -> None:
    rows = [("a" if i % 2 else "b", f"u{i}", None, "fit") for i in range(40)]
    codes = [1_000_001 if i % 2 else 1_000_002.0 for i in range(40)]
    sizes = [2.5 if i % 2 else 2 for i in range(40)]
    said = [json.dumps({"code": c, "size": s}) for c, s in zip(codes, sizes, strict=True)]
    items = pl.DataFrame([item("a", "dress")], schema=SCHEMA)
    told = gather(items, reviews(rows).with_columns(extras=pl.Series(said)))
    assert told["code"].to_list() == [["1000001"], ["1000002"]]
    assert told["size"].to_list() == [["2.5"], ["2"]]


def test_telling_by_hand() -> None:
    evidence = pl.DataFrame(
        {"parent_asin": ["a", "a", "b", "b"], "field": ["f"] * 4, "value": ["x", "y", "x", "y"],
         "n": [3, 1, 1, 5], "events": [4, 4, 6, 6]},
        schema_overrides={"n": pl.UInt32, "events": pl.UInt32},
    )  # fmt: skip
    plain = SETTINGS.model_copy(update={"smoothing": 0.0, "min_event_count": 1, "min_lift": 1.0})
    assert telling(evidence, plain)["values"].to_list() == [["x"], ["y"]]
    # With m = 5 and q = .6, b's y has (5 + 3) / 11 = .727: a lift of 1.21.
    for lift, kept in ((1.2, ["a", "b"]), (1.22, ["a"])):
        told = telling(evidence, SETTINGS.model_copy(update={"min_lift": lift}))
        assert told["parent_asin"].to_list() == kept


def test_keywords_reach_items_without_metadata() -> None:
    rows = [("a", "u1", None, "fit"), ("b", "u2", None, "fit"), ("b", "u3", None, "small")]
    keywords = pl.DataFrame(
        {"review_id": ["r0", "r1"], "parent_asin": ["a", "b"], "who": [["women"], []],
         "when": [["summer"], []], "why": [["cotton dress"], ["slow delivery"]]}
    )  # fmt: skip
    told = gather(pl.DataFrame(schema=SCHEMA), reviews(rows), keywords).to_dicts()[0]
    assert (told["category"], told["gender"], told["season"]) == ("dress", "women", ["summer"])
    assert told["material"] == ["cotton"]


def test_held_out_reviews_are_refused_and_ratings_unread() -> None:
    items = pl.DataFrame([item("a", "dress", average_rating=4.5, rating_number=7)], schema=SCHEMA)
    with pytest.raises(ValueError, match="train reviews"):
        gather(items, reviews([("a", "u", "work", "fit")], split="valid"))
    train = reviews([("a", "u", "work", "fit"), ("a", "v", "work", "small")])
    other = items.with_columns(
        average_rating=pl.lit(1.0, dtype=pl.Float32), rating_number=pl.lit(None, dtype=pl.Int32)
    )
    worse = train.with_columns(rating=pl.lit(1.0))
    assert gather(items, train).equals(gather(other, worse))


def test_bands_are_round_and_shared() -> None:
    assert band(162, 5) == "160–165"
    assert band(165, 5) == "165–170"
    assert band(-0.25, 0.1) == "-0.3–-0.2"
    assert band(1_000_003, 2) == "1000002–1000004"
    profiles = pl.DataFrame({"user_id": [f"u{i}" for i in range(100)],
                             "height_cm": [150 + i * 0.3 for i in range(100)],
                             "same": [1.0] * 100})  # fmt: skip
    events = reviews([("a", f"u{i}", None, "fit") for i in range(100)])
    assert buyer_steps(events, profiles) == {"height_cm": 5.0}


def test_keywords_of_a_few_items_at_a_time_are_held_against_those_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = [
        ("B1", ["soft"]),
        ("B1", ["soft", "cheap"]),
        ("B2", ["cheap"]),
        ("B3", ["red", "soft"]),
    ] * 4
    keywords = pl.DataFrame(
        {
            "review_id": [f"r{number}" for number in range(len(said))],
            "parent_asin": [asin for asin, _ in said],
            "who": [[] for _ in said],
            "when": [kept[:1] for _, kept in said],  # said twice, and counted once
            "why": [kept for _, kept in said],
        },
        schema_overrides={kind: pl.List(pl.String) for kind in ("who", "when", "why")},
    )
    whole = event_evidence.telling_keywords(keywords, keywords, SETTINGS)
    assert dict(whole.select("parent_asin", "values").iter_rows())["B2"] == ["cheap"]
    ranges = partial(item_ranges, most_rows=1)
    monkeypatch.setattr(event_evidence, "item_ranges", ranges)
    assert event_evidence.telling_keywords(keywords, keywords.lazy(), SETTINGS).equals(whole)


def test_rules_read_only_what_changed_and_tell_brands_by_all(tmp_path: Path) -> None:
    extractor = RulesAttributeExtractor(load_domain("beauty"), SETTINGS)

    def read_again(*rows: dict[str, Any]) -> int:
        said = pl.DataFrame(rows, schema=SCHEMA).with_columns(
            keywords=pl.lit([], dtype=pl.List(pl.String))
        )
        with ReusedRows(tmp_path, "rows", "maker") as reused:
            assert extractor.extract(said, reused.rows).equals(extractor.extract(said))
        return reused.computed

    balm = item("B1", "Zoya balm for dry lips", features=["vegan"], rating_number=1)
    mask = item("B2", "Zoya mask with clay")
    assert read_again(balm) == 1
    assert read_again(balm, mask) == 1  # and both are Zoya's now
    assert read_again({**balm, "rating_number": 2, "price": 9.5}, mask) == 0
    assert read_again({**balm, "title": "Zoya balm with mint"}, mask) == 1
