"""What it is worth that a served set counts what sold until now (``serve.statistics=now``).

    python benchmarks/statistics_now.py [--data data]

The test events of a finished run are asked of its set twice: with the statistics of train, as the
report measures them, and with those of train and valid, as a shop would have had them the day
before test. Models, vectors and orders are the same.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parent.parent))

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
from beauty_rec.towers.users.current_items import restated
from beauty_rec.towers.users.item_matrix import ItemMatrix
from beauty_rec.towers.users.layout import SERVED
from benchmarks.seeds import Shop


def answers(shop: Shop, counted: pl.DataFrame) -> pl.DataFrame:
    """Return the test events in every order, asked of items as the train rows of ``counted`` say.

    Models, vectors and orders are those of the run.
    """
    settings, processed, models = shop.settings, shop.data / "processed", shop.data / "models"
    tower, vocabulary = models / "user_tower", Vocabulary.load(processed / "vocabulary.json")
    knowledge = ItemKnowledge.of(
        shop.attributes, shop.items, counted, shop.profiles, vocabulary, settings,
        shop.past.attributes,
    )  # fmt: skip
    inputs = SplitInputs(shop.reviews, shop.profiles, knowledge, shop.texts, shop.past, settings)
    encoder = TextEncoder.load(models / "text_retriever", settings.encoder)
    words = ItemWords.load(processed / "lexical_index")
    known = with_context(counted.filter(split="train"), settings)
    items = ItemMatrix.load(processed / "item_index")
    with tempfile.TemporaryDirectory() as folder:
        restated(items, tower / SERVED, known, shop.profiles).save(Path(folder))
        lists = split_candidates(inputs, "test", tower, Path(folder), words, encoder)
    asks = split_asks(lists, shop.reviews, "test", shop.profiles, settings, tower)
    rankers, builder = load_rankers(models / "reranker", vocabulary)
    described = Described.of(shop.attributes, builder.vocabulary, shop.items)
    orders = Orders.load(models / "reranker")
    return order_split(
        asks, rankers, builder.with_later(described), orders, settings.reads_texts
    ).frame


def ranks_of(answered: pl.DataFrame) -> Ranks:
    """Return the rank of each answer in what is served; infinity where it is not there."""
    return np.asarray(answered["rank_served"].cast(pl.Float64).fill_null(np.inf).to_numpy())


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of a finished run")
    shop = Shop.of(parser.parse_args().data)
    reviews = shop.reviews
    before = answers(shop, reviews)
    as_if = pl.when(split="test").then("split").otherwise(pl.lit("train"))
    after = answers(shop, reviews.with_columns(split=as_if))
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
