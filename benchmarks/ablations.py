"""What each part of the recommender is worth: one taken away at a time, on the data of a run.

    python benchmarks/ablations.py [--data data] [--retrain]

A branch of the user tower that reads nothing, or columns of the item matrix that do not count, when
the trained tower is asked. ``--retrain`` also trains it without those columns (as long as the
served tower took, twice). The reranker with and without the item tower's embeddings is read from
the run's records.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unittest.mock import patch

import dagster as dg
import numpy as np
import polars as pl

from beauty_rec.artifacts import Vectors
from beauty_rec.events.asked import split_events
from beauty_rec.events.occasions import with_told_contexts
from beauty_rec.events.places import rows_of
from beauty_rec.measures.metrics import ndcg_at, recall_at
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.orchestration.storage.records import latest_metadata
from beauty_rec.retriever.contexts import context_vectors
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.search.ranks import answer_ranks
from beauty_rec.settings import Settings
from beauty_rec.towers.users.current_items import current_items
from beauty_rec.towers.users.event_requests import event_requests
from beauty_rec.towers.users.layout import SERVED
from beauty_rec.towers.users.model import BRANCHES
from beauty_rec.towers.users.served import ServedUserTower
from beauty_rec.towers.users.statistics import StatisticsSpec
from beauty_rec.towers.users.train.data import user_tower_data
from beauty_rec.towers.users.train.recipe import train_user_tower

HELD_OUT: Final = ("valid", "test")
CANDIDATES = 100


@dataclass(frozen=True)
class Shop:
    """The artifacts of a run."""

    settings: Settings
    tower: Path
    reviews: pl.DataFrame
    profiles: pl.DataFrame
    contexts: Vectors
    vectors: Vectors
    texts: Vectors

    @classmethod
    def of(cls, data: Path) -> "Shop":
        """Read them."""
        settings, processed = Settings(data_dir=data), data / "processed"
        if not (data / "models" / "user_tower").exists():
            raise SystemExit(f"{data} holds no run; make one: beauty-rec run --data-dir {data}")
        split_reviews = pl.read_parquet(processed / "split_reviews.parquet", glob=False)
        reviews = with_told_contexts(split_reviews, settings)
        encoder = TextEncoder.load(data / "models" / "text_retriever", settings.encoder)
        return cls(
            settings,
            data / "models" / "user_tower" / SERVED,
            reviews,
            pl.read_parquet(processed / "user_profiles.parquet", glob=False),
            context_vectors(encoder, reviews["context"]),
            Vectors.load(processed / "item_vectors"),
            Vectors.load(processed / "item_embeddings"),
        )

    def served(self, folder: Path) -> ServedUserTower:
        """Return a tower with the items as they stand at the end of train."""
        items = current_items(folder, self.reviews, self.profiles, self.vectors, self.texts)
        return ServedUserTower.load(folder, items)

    def row(
        self,
        name: str,
        served: ServedUserTower,
        without: tuple[bool, bool, bool] = (False, False, False),
        muted: slice = slice(0, 0),
    ) -> str:
        """Return a line of the table; ``muted`` columns of the item matrix count for nothing."""
        figures = []
        for split in HELD_OUT:
            asked = split_events(self.reviews, split, self.settings)
            requests = event_requests(
                served,
                self.reviews,
                self.contexts,
                self.profiles,
                asked["review_id"].to_list(),
                without,
            )
            requests.vectors[:, muted] = 0
            answers = rows_of(asked["parent_asin"], served.items.ids)
            ranks = answer_ranks(requests.vectors, served.items.matrix, requests.seen, answers)
            figures += [recall_at(ranks, CANDIDATES).mean(), ndcg_at(ranks).mean()]
        return f"| {name} | " + " | ".join(f"{figure:.4f}" for figure in figures) + " |"


@contextmanager
def silent(columns: slice) -> Iterator[None]:
    """Statistics columns are 0 for every item, in training and after."""
    at = StatisticsSpec.at

    def without(self: StatisticsSpec, *arguments: object) -> np.ndarray:
        told = at(self, *arguments)  # type: ignore[arg-type]
        told[:, columns] = 0
        return told

    with patch.object(StatisticsSpec, "at", without):
        yield


def main() -> None:
    """Print a Markdown table, and what weight transfer is worth to the reranker."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of a finished run")
    parser.add_argument("--retrain", action="store_true", help="train without columns, too")
    told = parser.parse_args()
    shop = Shop.of(told.data)
    whole = shop.served(shop.tower)
    tower, statistics = whole.items.tower, whole.items.statistics
    popularity = len(shop.settings.user_tower.half_lives_days)

    print("| user tower | " + " | ".join(f"{s} Recall@100 | {s} NDCG@10" for s in HELD_OUT) + " |")
    print("|---|--:|--:|--:|--:|")
    print(shop.row("whole", whole))
    for number, branch in enumerate(BRANCHES):
        left_out = (number == 0, number == 1, number == 2)
        print(shop.row(f"without {branch}", whole, without=left_out))
    bias = slice(tower, tower + popularity)
    print(shop.row("popularity columns not counted", whole, muted=bias))
    if told.retrain:
        reviews = shop.reviews.filter(pl.col("split") != "test")
        data = user_tower_data(reviews, shop.vectors, shop.contexts, shop.profiles, shop.texts)
        for name, columns in (("popularity", popularity), ("statistics", statistics)):
            with silent(slice(0, columns)), tempfile.TemporaryDirectory() as folder:
                target = Path(folder) / "tower"
                train_user_tower(data, shop.settings.user_tower, target)
                print(shop.row(f"trained without {name} columns", shop.served(target)))

    with open_instance(told.data) as instance:
        facts = latest_metadata(instance, dg.AssetKey("reranker"))
    if sentence := facts.get("transfer"):
        print(f"\n{sentence}")


if __name__ == "__main__":
    main()
