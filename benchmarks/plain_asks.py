"""Plain asks that name a product type: how many of the first 10 items are of it.

    python benchmarks/plain_asks.py [--data data] [--shoppers 5]

Thirty asks over all departments of the synthetic sample ("gentle shampoo for a dry itchy scalp"),
asked of what a data folder serves: once for nobody in particular, and once each for some shoppers
of the set who have several events, drawn by a seed. What an item is stands in its title, where the
sample writes the noun of its type; one without metadata has no title, and counts for no ask. A
dry shampoo is no shampoo here, and a brow gel no brow pencil; the last column counts, without a
past, whatever the shop's own attributes call by the same category.

Exits with 1 where a mean is below its aim.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.sample import is_synthetic
from beauty_rec.sample.tables import load_tables
from beauty_rec.serving.published.manifest import set_folder
from beauty_rec.serving.published.release import served
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import Settings

ASKS = (
    ("Facial Cleanser", "a face wash for oily skin"),
    ("Facial Toner", "toner for oily skin"),
    ("Face Serum", "a face serum for dull skin"),
    ("Face Sunscreen SPF 50", "sunscreen that leaves no white cast"),
    ("Eye Cream", "an eye cream for dark circles"),
    ("Shampoo", "gentle shampoo for a dry itchy scalp"),
    ("Dry Shampoo", "a dry shampoo for greasy roots"),
    ("Hair Oil", "hair oil for split ends"),
    ("Styling Gel", "strong hair gel for curly hair"),
    ("Curling Iron", "a curling iron for thick hair"),
    ("Claw Clips", "claw clips for fine hair"),
    ("Sleep Bonnet", "a silk bonnet to sleep in"),
    ("Mascara", "waterproof mascara for short lashes"),
    ("Eyeshadow Palette", "an eyeshadow palette for a smoky look"),
    ("False Eyelashes", "strip lashes for a wedding"),
    ("Eyebrow Pencil", "a brow pencil for sparse brows"),
    ("Foundation", "a foundation for fair skin"),
    ("Concealer", "concealer for under eye circles"),
    ("Lipstick", "long lasting lipstick for a party"),
    ("Blush", "a peach blush for every day"),
    ("Nail Polish Set", "nail polish that does not chip"),
    ("Press On Nails", "press on nails for prom"),
    ("Cuticle Oil", "cuticle oil for brittle nails"),
    ("Body Lotion", "body lotion for very dry skin"),
    ("Bath Bombs", "bath bombs as a gift for my sister"),
    ("Hand Cream", "hand cream for cracked hands"),
    ("Body Mist", "a body mist that smells of vanilla"),
    ("Solid Perfume", "a solid perfume for travel"),
    ("Beard Oil", "beard oil for a patchy beard"),
    ("Shaving Cream", "shaving cream against razor burn"),
)
"""Type and words."""
K = 10
AIM, AIM_WITH_PAST = 8.0, 7.0
FEWEST_EVENTS = 3
"""Of a shopper who has a past."""


@dataclass(frozen=True)
class Row:
    """An ask, the items of its type in the set, and how many of them were answered.

    ``alike``: of the same category, without a past.
    """

    words: str
    there: int
    without: float
    with_past: float
    alike: float


@cache
def _nouns() -> re.Pattern[str]:
    nouns = [product.noun for place in load_tables().departments for product in place.types]
    longest_first = sorted(nouns, key=lambda noun: (-len(noun), noun))
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b")


def type_of(title: str | None) -> str | None:
    """Return the product type that a title of the sample names; None: it names none.

    >>> type_of("Lumia Biotin Dry Shampoo for Oily Hair, Coconut"), type_of(None)
    ('Dry Shampoo', None)
    """
    found = _nouns().search(title or "")
    return None if found is None else found[0]


def shoppers_of(events: pl.DataFrame, count: int, seed: int) -> list[str]:
    """Return users who have several events, drawn; as many as there are if they are fewer."""
    rows = events.group_by("user_id").len().filter(pl.col("len") >= FEWEST_EVENTS)
    users = rows["user_id"].sort().to_list()
    drawn = np.random.default_rng(seed).permutation(len(users))[:count]
    return [users[place] for place in drawn]


def asked(engine: Engine, cards: pl.DataFrame, users: Sequence[str]) -> list[Row]:
    """Ask everything, without a past and with that of each user.

    ``cards`` has ``title`` and ``category`` of all items.
    """
    of_type: dict[str | None, list[str | None]] = {}
    for title, category in cards.select("title", "category").iter_rows():
        of_type.setdefault(type_of(title), []).append(category)
    found = []
    for wanted, words in ASKS:
        asks = [RecommendRequest(context=words, k=K)]
        asks += [RecommendRequest(context=words, k=K, user_id=user) for user in users]
        alone, *others = engine.recommend(asks)
        own = of_type.get(wanted, [])
        category = Counter(own).most_common(1)[0][0] if own else None
        found.append(
            Row(
                words,
                len(own),
                hits(alone, wanted),
                sum(hits(answer, wanted) for answer in others) / len(others),
                sum(item["category"] == category is not None for item in alone["items"]),
            )
        )
    return found


def hits(answer: Mapping[str, Any], wanted: str) -> int:
    """Return how many items of an answer are of a type."""
    return sum(type_of(item["title"]) == wanted for item in answer["items"])


def means(rows: Sequence[Row]) -> tuple[float, float, float]:
    """Return the means over the asks: without a past, with one, of the category."""
    columns = zip(*((row.without, row.with_past, row.alike) for row in rows), strict=True)
    without, with_past, alike = (sum(column) / len(rows) for column in columns)
    return without, with_past, alike


def table(rows: Sequence[Row]) -> Iterable[str]:
    """Yield the lines of a Markdown table; the last is of the means."""
    yield "| ask | items of the type | without a past | with one | of the category |"
    yield "|---|--:|--:|--:|--:|"
    for row in rows:
        cells = f"{row.there} | {row.without:.0f} | {row.with_past:.1f} | {row.alike:.0f}"
        yield f"| {row.words} | {cells} |"
    cells = " | ".join(f"{mean:.1f}" for mean in means(rows))
    yield f"| **mean** (aims: {AIM:g} and {AIM_WITH_PAST:g}) | | {cells} |"


def main() -> None:
    """Ask, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of a finished run")
    parser.add_argument("--shoppers", type=int, default=5, help="that ask everything")
    parser.add_argument("--seed", type=int, default=13, help="that draws them")
    told = parser.parse_args()
    settings = Settings(data_dir=told.data)
    reviews = settings.inputs["reviews"]
    if reviews is None or not is_synthetic(reviews):
        raise SystemExit(f"{told.data} is no run on the synthetic sample, whose types are asked")
    root = told.data / "serving"
    folder = set_folder(root, served(root).manifest)
    cards, events = (
        pl.read_parquet(folder / f"{name}.parquet", glob=False) for name in ("cards", "events")
    )
    users = shoppers_of(events, told.shoppers, told.seed)
    if not users:
        raise SystemExit(f"nobody in {told.data} has {FEWEST_EVENTS} events")
    with Engine.open(settings) as engine:
        rows = asked(engine, cards, users)
    print("\n".join(table(rows)))
    without, with_past, _ = means(rows)
    sys.exit(1 if without < AIM or with_past < AIM_WITH_PAST else 0)


if __name__ == "__main__":
    main()
