"""What it is worth that a served set counts what sold until now (``serve.statistics=now``).

    python benchmarks/statistics_now.py [--data data]

The test events of a finished run are asked of its set twice: with the statistics of train, as the
report measures them, and with those of train and valid, as a shop would have had them the day
before test. Models, vectors and orders are the same.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from beauty_rec.artifacts import Vectors
from beauty_rec.events.folds import with_context
from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.measures.metrics import Ranks, ndcg_at, recall_at
from beauty_rec.measures.significance import compare
from beauty_rec.ranking.apply import load_rankers
from beauty_rec.ranking.features.item_table import Described
from beauty_rec.ranking.features.knowledge import ItemKnowledge
from beauty_rec.recommender.offline.ordering import order_split
from beauty_rec.recommender.offline.split_asks import split_asks
from beauty_rec.recommender.offline.split_candidates import SplitInputs, split_candidates
from beauty_rec.recommender.orders import Orders
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.retriever.item_words import ItemWords
from beauty_rec.settings import Settings
from beauty_rec.towers.past.stored import PastItems
from beauty_rec.towers.users.current_items import restated
from beauty_rec.towers.users.item_matrix import ItemMatrix
from beauty_rec.towers.users.layout import SERVED

Answers = Callable[[pl.DataFrame], pl.DataFrame]
"""Rows of split_reviews, of which those of train are counted → the test events in every order."""


def answers_of(data: Path) -> tuple[Answers, pl.DataFrame]:
    """Return what asks the test events of a run, and its split_reviews."""
    settings, processed, models = Settings(data_dir=data), data / "processed", data / "models"

    def frame(name: str) -> pl.DataFrame:
        return pl.read_parquet(processed / f"{name}.parquet", glob=False)

    if not (models / "reranker").exists():
        raise SystemExit(f"{data} holds no run; make one: beauty-rec run --data-dir {data}")
    reviews, profiles = frame("split_reviews"), frame("user_profiles")
    attributes, items = frame("item_attributes"), frame("raw_items")
    vocabulary = Vocabulary.load(processed / "vocabulary.json")
    past = PastItems.load(processed / "past_items")
    matrix = ItemMatrix.load(processed / "item_index")
    texts = Vectors.load(processed / "item_embeddings")
    words = ItemWords.load(processed / "lexical_index")
    encoder = TextEncoder.load(models / "text_retriever", settings.encoder)
    rankers, builder = load_rankers(models / "reranker", vocabulary)
    builder = builder.with_later(Described.of(attributes, builder.vocabulary, items))
    orders = Orders.load(models / "reranker")

    def answers(counted: pl.DataFrame) -> pl.DataFrame:
        knowledge = ItemKnowledge.of(
            attributes, items, counted, profiles, vocabulary, settings, past.attributes
        )
        known = with_context(counted.filter(split="train"), settings)
        inputs = SplitInputs(reviews, profiles, knowledge, texts, past, settings)
        with tempfile.TemporaryDirectory() as folder:
            now = restated(matrix, models / "user_tower" / SERVED, known, profiles)
            now.save(Path(folder))
            lists = split_candidates(
                inputs, "test", models / "user_tower", Path(folder), words, encoder
            )
        asks = split_asks(lists, reviews, "test", profiles, settings, models / "user_tower")
        return order_split(asks, rankers, builder, orders, settings.reads_texts).frame

    return answers, reviews


def ranks_of(answers: pl.DataFrame) -> Ranks:
    """Return the rank of each answer in what is served; infinity where it is not there."""
    return np.asarray(answers["rank_served"].cast(pl.Float64).fill_null(np.inf).to_numpy())


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of a finished run")
    answers, reviews = answers_of(parser.parse_args().data)
    before = answers(reviews)
    as_if = pl.when(split="test").then("split").otherwise(pl.lit("train"))
    after = answers(reviews.with_columns(split=as_if))
    user_of = dict(reviews.select("review_id", "user_id").iter_rows())
    print("| served, test | asks | statistics | Recall@100 | NDCG@10 | p, NDCG@10 |")
    print("|---|--:|---|--:|--:|--:|")
    for scenario in before["scenario"].unique(maintain_order=True):
        rows = before.filter(scenario=scenario)
        users = pl.Series([user_of[name] for name in rows["review_id"]]).rank("dense")
        old, new = ranks_of(rows), ranks_of(after.filter(scenario=scenario))
        tested = compare(new, old, clusters=users.to_numpy().astype(np.int64))
        for name, ranks in (("train", old), ("train and valid", new)):
            p = f"{tested['ndcg@10']['p']:.3f}" if ranks is new else ""
            figures = f"{recall_at(ranks, 100).mean():.4f} | {ndcg_at(ranks).mean():.4f}"
            print(f"| {scenario} | {len(ranks):,} | {name} | {figures} | {p} |")


if __name__ == "__main__":
    main()
