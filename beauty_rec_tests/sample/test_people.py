"""Who buys what in the synthetic sample, and what they say of it."""

import collections
import itertools
import statistics
from random import Random
from typing import Any

import pytest

from beauty_rec.sample import SampleFiles
from beauty_rec_tests.sample.conftest import good_rows

DAY_MS = 86_400_000
DEPARTMENTS = {
    "hair": ("Shampoo", "Conditioner", "Hair Mask", "Hair Oil", "Styling Gel", "Scalp Serum"),
    "eyes": ("Mascara", "Eyeliner", "Eyeshadow", "Eyelash", "Eyebrow", "Brow Gel", "Lash Growth"),
    "nails": ("Nail", "Gel Polish", "Cuticle"),
    "scent": ("Eau de", "Body Mist", "Perfume", "Essential Oil"),
    "beard": ("Beard", "Shaving", "Aftershave", "Razor"),
    "face": ("Facial", "Face", "Night Cream", "Eye Cream", "Sheet Mask"),
    "body": ("Body", "Bath", "Hand Cream", "Foot Cream", "Soap", "Deodorant"),
}


def department(title: str) -> str | None:
    for name, nouns in DEPARTMENTS.items():
        if any(noun in title for noun in nouns):
            return name
    return None


def test_activity_and_popularity_are_heavy_tailed(reviews: list[dict[str, Any]]) -> None:
    users = sorted(collections.Counter(r["user_id"] for r in reviews).values(), reverse=True)
    assert 1 <= statistics.median(users) <= 3
    assert users[0] >= 24
    assert statistics.mean(count >= 2 for count in users) > 0.4
    bought = sorted(collections.Counter(r["parent_asin"] for r in reviews).values(), reverse=True)
    assert sum(bought[: len(bought) // 5]) > 0.45 * len(reviews)
    assert bought[0] > 5 * statistics.median(bought)
    assert sum(bought[:100]) < 0.35 * len(reviews)  # and yet popularity alone finds little


def test_popularity_drifts_and_items_are_launched(reviews: list[dict[str, Any]]) -> None:
    reviews = sorted(reviews, key=lambda row: row["timestamp"])
    early, late = (
        collections.Counter(r["parent_asin"] for r in part)
        for part in (reviews[:3000], reviews[3000:])
    )
    top_early, top_late = ({a for a, _ in c.most_common(100)} for c in (early, late))
    assert len(top_early & top_late) < 50
    assert 0.1 < statistics.mean(a not in early for a in late.elements()) < 0.6
    years = (reviews[-1]["timestamp"] - reviews[0]["timestamp"]) / DAY_MS / 365
    assert 7 < years < 9


def test_texts_differ_and_look_typed(reviews: list[dict[str, Any]]) -> None:
    texts = [row["text"] for row in reviews]
    long = [text for text in texts if len(text) > 60]
    assert len(set(long)) > 0.99 * len(long)
    assert 120 < statistics.median(map(len, texts)) < 300
    for mark in ("<br />", "&#39;", "Not for ", "😍", "skin", "hair"):
        assert any(mark in text for text in texts), mark
    assert any(not text for text in texts)
    assert not any(sign in text for text in texts for sign in "{}[]|")
    assert not any("  " in text for text in texts)


def test_people_stay_in_their_departments(
    reviews: list[dict[str, Any]], items: dict[str, dict[str, Any]]
) -> None:
    baskets = collections.defaultdict(list)
    for row in reviews:
        if row["parent_asin"] in items:
            baskets[row["user_id"]].append(department(items[row["parent_asin"]]["title"]))
    random = Random(1)
    own = statistics.mean(
        a == b for bought in baskets.values() for a, b in itertools.pairwise(bought) if a and b
    )
    everyone = [d for bought in baskets.values() for d in bought if d]
    by_chance = statistics.mean(
        random.choice(everyone) == random.choice(everyone) for _ in range(20_000)
    )
    assert own > 2.5 * by_chance


def test_people_buy_what_their_skin_and_hair_need(
    reviews: list[dict[str, Any]], items: dict[str, dict[str, Any]]
) -> None:
    """Two titles of one person that both name a skin (hair) type name the same far too often."""
    for kinds in (
        ("Oily", "Dry", "Combination", "Sensitive", "Mature"),
        ("Curly", "Fine", "Thick"),
    ):
        word = "Skin" if "Oily" in kinds else "Hair"
        named: dict[str, list[str]] = collections.defaultdict(list)
        for row in reviews:
            title = items.get(row["parent_asin"], {}).get("title", "")
            named[row["user_id"]] += [k for k in kinds if f"for {k} {word}" in title]
        pairs = [(a, b) for kept in named.values() for a, b in itertools.pairwise(kept)]
        assert len(pairs) > 50
        assert statistics.mean(a == b for a, b in pairs) > 2 / len(kinds)


def test_a_review_speaks_of_its_item(
    reviews: list[dict[str, Any]], items: dict[str, dict[str, Any]]
) -> None:
    def overlap(row: dict[str, Any], title: str) -> int:
        return len(set(row["text"].lower().split()) & set(title.lower().replace(",", "").split()))

    random = Random(2)
    titles = [row["title"] for row in items.values()]
    known = [row for row in reviews if row["parent_asin"] in items]
    own = statistics.mean(overlap(row, items[row["parent_asin"]]["title"]) for row in known)
    other = statistics.mean(overlap(row, random.choice(titles)) for row in known)
    assert own > 2 * other


def test_ages_fit_concerns_and_profiles_are_patchy(
    sample: SampleFiles, reviews: list[dict[str, Any]]
) -> None:
    profiles = good_rows(sample.profiles, "user_id")
    people = {row["user_id"] for row in reviews}
    assert len(profiles) / len(people) == pytest.approx(0.75, abs=0.04)
    assert set(profiles) <= people

    def ages(*words: str) -> list[int]:
        return [
            profiles[row["user_id"]]["age"]
            for row in reviews
            if row["user_id"] in profiles
            and profiles[row["user_id"]]["age"]
            and any(word in row["text"].lower() for word in words)
        ]

    assert statistics.mean(ages("wrinkles", "crow's feet")) > statistics.mean(ages("acne")) + 10
    for name in ("height_cm", "weight_kg", "age"):
        values = [row[name] for row in profiles.values()]
        assert 0.05 < statistics.mean(v is None for v in values) < 0.3
        assert 10 < statistics.median(v for v in values if v is not None) < 200


def test_ratings_follow_the_fit(
    reviews: list[dict[str, Any]], items: dict[str, dict[str, Any]]
) -> None:
    shares = collections.Counter(row["rating"] for row in reviews)
    assert shares[5.0] / len(reviews) == pytest.approx(0.61, abs=0.02)
    named = collections.defaultdict(list)
    for row in reviews:
        title = items.get(row["parent_asin"], {}).get("title", "")
        for kind in ("Oily Skin", "Dry Skin", "Curly Hair", "Fine Hair", "Gray Hair"):
            if kind in title:
                named[row["user_id"], kind[-4:]].append((kind, row["rating"]))
    alike, unlike = [], []
    for bought in named.values():
        usual, times = collections.Counter(kind for kind, _ in bought).most_common(1)[0]
        if times > 1:
            alike += [rating for kind, rating in bought if kind == usual]
            unlike += [rating for kind, rating in bought if kind != usual]
    assert len(unlike) > 30
    assert statistics.mean(alike) > statistics.mean(unlike) + 0.5
