"""A fold of train is asked of what was before it: nothing that came later moves a byte of it."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from beauty_rec.artifacts import Vectors, content_hash
from beauty_rec.events.folds import fold_of, fold_starts
from beauty_rec.events.queries import recommendation_queries
from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.ranking.features.knowledge import ItemKnowledge
from beauty_rec.recommender.offline.scenarios import given_texts, hits_of, split_lists
from beauty_rec.recommender.offline.shelves import fold_shelf
from beauty_rec.recommender.sources import SOURCES
from beauty_rec.settings import Settings, UserTowerSettings, VocabularySettings
from beauty_rec.towers.users.train.data import user_tower_data
from beauty_rec.towers.users.train.recipe import train_user_tower

ITEMS = [f"i{row:02}" for row in range(60)]
ATTRIBUTES = pl.DataFrame(
    {
        "parent_asin": ITEMS,
        "category": [("soap", "serum", "perfume")[row % 3] for row in range(60)],
        "brand": [f"b{row % 7}" for row in range(60)],
        "scent": [[("rose", "mint")[row % 2]] for row in range(60)],
        "context": [[] for _ in ITEMS],
        "summary": [""] * 60,
        "source": ["test"] * 60,
    },
    schema_overrides={"context": pl.List(pl.String)},
)
CATALOGUE = pl.DataFrame(
    {"parent_asin": ITEMS, "price": [float(5 + row) for row in range(60)]},
    schema={"parent_asin": pl.String, "price": pl.Float32},
)

Change = Callable[[pl.Expr], list[pl.Expr]]
CHANGES: dict[str, Change] = {
    "text": lambda at: [pl.when(at).then(pl.lit("other words")).otherwise("text").alias("text")],
    "rating": lambda at: [pl.when(at).then(1.0).otherwise("rating").alias("rating")],
    "item": lambda at: [
        pl.when(at).then(pl.lit("i55")).otherwise("parent_asin").alias("parent_asin")
    ],
    "context": lambda at: [pl.when(at).then(pl.lit("gym")).otherwise("context").alias("context")],
}


@pytest.mark.parametrize("change", ["text", "rating", "item", "context"])
def test_later_reviews_move_nothing_of_a_fold(
    change: str,
    reviews: pl.DataFrame,
    profiles: pl.DataFrame,
    item_vectors: Vectors,
    contexts: Vectors,
    small: UserTowerSettings,
    tmp_path: Path,
) -> None:
    reviews = reviews.with_columns(text=pl.lit("bought it for a ") + pl.col("context"))
    start, end = fold_starts(reviews, (0.5, 0.75))
    texts = Vectors(ITEMS, np.repeat(np.eye(2, 5, dtype=np.float32), 30, axis=0))
    tower = user_tower_data(reviews, item_vectors, contexts, profiles, texts, train_until_ms=start)
    train_user_tower(tower, small.model_copy(update={"epochs": 1}), tmp_path / str(start))
    vocabulary = Vocabulary.build(ATTRIBUTES, None, VocabularySettings(min_count=1))

    def fold(known: pl.DataFrame, name: str) -> tuple[bytes, str, int]:
        """The candidate lists of the first fold, and a hash of its item table."""
        events = recommendation_queries(known, "train")
        inside = dict(fold_of(events.filter(pl.col("timestamp") >= start), [start, end]))[start]
        inside = inside.filter(pl.col("timestamp") < end)  # later ones are asked of it as well
        knowledge = ItemKnowledge.of(ATTRIBUTES, CATALOGUE, known, profiles, vocabulary, Settings())
        table = knowledge.table(start)
        table.save(tmp_path / name)
        shelf = fold_shelf(
            tmp_path, start, known, profiles, item_vectors, texts, table, reads_texts=False
        )
        assert not {source.name for source in shelf.sources} & {"text_retriever", "lexical"}
        written, hits = io.BytesIO(), 0
        for scenario, asked in given_texts(inside, 13):
            lists = split_lists(shelf, asked, known, profiles, contexts, scenario, 10)
            assert np.isnan(lists.scores[:, SOURCES.index("lexical")]).all()
            hits += int(hits_of(lists, inside).sum())
            lists.frame().write_ipc(written)
        return written.getvalue(), content_hash(tmp_path / name), hits

    # The last instant of the fold stands still: its events are the fold's own.
    later = (pl.col("split") == "train") & (pl.col("timestamp") >= end)
    assert reviews.filter(later).height > 100
    before = fold(reviews, "before")
    assert before[2] > 10
    assert fold(reviews.with_columns(CHANGES[change](later)), "after") == before
    if change in ("item", "rating", "context"):  # and what was before does count
        earlier = (pl.col("timestamp") < start) & (pl.int_range(pl.len()) % 2 == 0)
        assert fold(reviews.with_columns(CHANGES[change](earlier)), "earlier") != before
