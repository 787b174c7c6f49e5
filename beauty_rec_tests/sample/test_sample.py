"""The synthetic sample, read back from its files by code of its own."""

import collections
import gzip
import itertools
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from beauty_rec.sample import SampleFiles, is_synthetic, write_sample
from beauty_rec.sample.grammar import parse, render
from beauty_rec.settings import SampleSettings

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


def lines(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines()


def reason(line: bytes, seen: set[tuple[str, str, int]]) -> str | None:
    """Why a careful reader would refuse a review; None: it is good."""
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        return "utf8"
    except json.JSONDecodeError:
        return "json"
    if not row.get("user_id") or not row.get("parent_asin"):
        return "id"
    if not isinstance(row["rating"], float):
        return "type"
    if math.isnan(row["rating"]):
        return "nan"
    if not 1 <= row["rating"] <= 5:
        return f"rating {row['rating']:.0f}"
    if row["timestamp"] < 0:
        return "negative"
    if row["timestamp"] < 10**11:
        return "seconds"
    if row["timestamp"] > 1_790_000_000_000:
        return "future"
    key = (row["user_id"], row["parent_asin"], row["timestamp"])
    if key in seen:
        return "duplicate"
    seen.add(key)
    return None


def good_reviews(path: Path) -> list[dict[str, Any]]:
    seen: set[tuple[str, str, int]] = set()
    return [json.loads(line) for line in lines(path) if reason(line, seen) is None]


def good_rows(path: Path, key: str) -> dict[str, dict[str, Any]]:
    """Rows that parse, by id; the first of each id."""
    found: dict[str, dict[str, Any]] = {}
    for line in lines(path):
        try:
            row = json.loads(line.decode("utf-8"))
        except ValueError:
            continue
        if key in row and isinstance(row.get("title", ""), str):
            found.setdefault(row[key], row)
    return found


def department(title: str) -> str | None:
    for name, nouns in DEPARTMENTS.items():
        if any(noun in title for noun in nouns):
            return name
    return None


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleFiles:
    return write_sample(
        tmp_path_factory.mktemp("sample"), SampleSettings(reviews=6_000, items=1_800)
    )


@pytest.fixture(scope="module")
def reviews(sample: SampleFiles) -> list[dict[str, Any]]:
    return good_reviews(sample.reviews)


@pytest.fixture(scope="module")
def items(sample: SampleFiles) -> dict[str, dict[str, Any]]:
    return good_rows(sample.items, "parent_asin")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    settings = SampleSettings(reviews=400, items=90, seed=7)
    for name in ("a", "b"):
        write_sample(tmp_path / name, settings)
    write_sample(tmp_path / "c", settings.model_copy(update={"seed": 8}))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert not contents(tmp_path / "a").items() & contents(tmp_path / "c").items()


def test_hash_randomisation_does_not_reach_the_bytes(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from beauty_rec.sample import write_sample;"
        "from beauty_rec.settings import SampleSettings;"
        "write_sample(pathlib.Path(sys.argv[1]), SampleSettings(reviews=200, items=50))"
    )
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / seed)],
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
        )
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


@pytest.mark.parametrize(("count", "item_count"), [(100, 20), (100, 5_000), (777, 30), (5_000, 20)])
def test_any_size(tmp_path: Path, count: int, item_count: int) -> None:
    files = write_sample(tmp_path, SampleSettings(reviews=count, items=item_count))
    rows = good_reviews(files.reviews)
    assert len(rows) == count
    assert len({r["parent_asin"] for r in rows}) <= item_count
    assert len(lines(files.reviews)) <= 1.02 * count
    assert len(good_rows(files.items, "parent_asin")) == pytest.approx(0.97 * item_count, rel=0.13)


def test_every_kind_of_bad_review_is_there_and_few(sample: SampleFiles) -> None:
    seen: set[tuple[str, str, int]] = set()
    reasons = collections.Counter(reason(line, seen) for line in lines(sample.reviews))
    assert reasons.pop(None) == 6_000
    assert set(reasons) == {
        "utf8", "json", "id", "type", "nan", "rating 0", "rating 7",
        "negative", "seconds", "future", "duplicate",
    }  # fmt: skip
    assert sum(reasons.values()) < 0.02 * 6_000
    manifest = json.loads((sample.reviews.parent / "synthetic.json").read_text())
    assert sum(manifest["bad_rows"]["reviews"].values()) == sum(reasons.values())


def test_every_kind_of_bad_item_is_there(sample: SampleFiles) -> None:
    kinds: collections.Counter[str] = collections.Counter()
    ids = set()
    for line in lines(sample.items):
        try:
            row = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError:
            kinds["utf8"] += 1
            continue
        except json.JSONDecodeError:
            kinds["json"] += 1
            continue
        kinds["id"] += "parent_asin" not in row
        kinds["type"] += not isinstance(row["title"], str)
        kinds["duplicate"] += isinstance(row["title"], str) and row.get("parent_asin") in ids
        ids.add(row.get("parent_asin"))
    assert all(kinds[kind] for kind in ("utf8", "json", "id", "type", "duplicate"))
    assert kinds.total() < 0.02 * len(ids)


def test_metadata_is_as_patchy_as_the_real_file(
    reviews: list[dict[str, Any]], items: dict[str, dict[str, Any]]
) -> None:
    def share(name: str, empty: Any) -> float:
        return statistics.mean(row[name] == empty for row in items.values())

    assert share("categories", []) == 1
    assert share("price", None) == pytest.approx(0.81, abs=0.04)
    assert share("description", []) == pytest.approx(0.82, abs=0.04)
    assert share("store", None) == pytest.approx(0.10, abs=0.03)
    assert share("bought_together", None) == 1
    bought = {row["parent_asin"] for row in reviews}
    assert 0.015 < len(bought - set(items)) / len(bought) < 0.05
    prices = [row["price"] for row in items.values() if row["price"] is not None]
    assert {type(price) for price in prices} == {float, str}
    assert any(str(p).startswith("$") for p in prices)
    assert any(str(p).startswith("from ") for p in prices)
    assert {type(row["details"]) for row in items.values()} == {dict, str}


def test_rows_have_the_native_fields(
    reviews: list[dict[str, Any]], items: dict[str, dict[str, Any]]
) -> None:
    native = {
        "rating", "title", "text", "images", "asin", "parent_asin", "user_id", "timestamp",
        "helpful_vote", "verified_purchase",
    }  # fmt: skip
    assert all(set(row) - {"context"} == native for row in reviews)
    assert statistics.mean("context" in row for row in reviews) == pytest.approx(0.35, abs=0.03)
    native = {
        "main_category", "title", "average_rating", "rating_number", "features", "description",
        "price", "images", "videos", "store", "categories", "details", "parent_asin",
        "bought_together",
    }  # fmt: skip
    assert all(set(row) == native for row in items.values())


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


def test_the_manifest_labels_the_sample(sample: SampleFiles, tmp_path: Path) -> None:
    assert is_synthetic(sample.reviews)
    elsewhere = tmp_path / sample.reviews.name
    elsewhere.write_bytes(b"")
    assert not is_synthetic(elsewhere)
    (tmp_path / "synthetic.json").write_text("[]")
    assert not is_synthetic(elsewhere)


def test_memory_is_bounded_and_the_import_light(tmp_path: Path) -> None:
    code = """if True:
        import pathlib, resource, sys
        from beauty_rec.sample import write_sample
        from beauty_rec.settings import SampleSettings
        heavy = {"torch", "transformers", "dagster", "chromadb", "scipy"} & set(sys.modules)
        peaks = []
        for n in (500, 40_000):
            write_sample(pathlib.Path(sys.argv[1]), SampleSettings(reviews=n, items=n // 6))
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        print(len(heavy), *peaks)
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    heavy, small, large = map(int, done.stdout.split())
    assert heavy == 0
    assert large - small < 60  # MB, for 40,000 reviews of 20 MB of JSON


@pytest.mark.parametrize("template", ["[a|b", "a]", "[a|[b]"])
def test_a_lone_bracket_is_an_error(template: str) -> None:
    with pytest.raises(ValueError, match=r"unclosed|unopened"):
        parse(template)


def test_the_grammar_makes_every_sentence_and_no_other() -> None:
    phrase = parse("[I|We [all|]] like {x}[!|]")
    made = {render(phrase, {"x": "it"}, Random(n)) for n in range(200)}
    assert made == {f"{a} like it{b}" for a in ("I", "We all", "We ") for b in ("!", "")}
