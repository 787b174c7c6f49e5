"""How far the answer's figures move with chance: user tower and reranker trained anew.

    python benchmarks/seeds.py [--data data] [--seeds 5] [--kept FOLDER]

The encoder, the item tower and all that is made of texts stay those of the run. Each seed trains
the user tower with its folds and the reranker, and is measured as ``answer`` of the report. Printed
are medians and, in brackets, the lowest and the highest seed. ``--kept`` names a folder for each
seed's figures: a seed that stands in it is not trained again, and one that was killed goes on.
"""

import argparse
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl

from beauty_rec.artifacts import Vectors, write_text_atomic
from beauty_rec.evaluation.answer import answer_ranks
from beauty_rec.evaluation.yardsticks import popularity_gains
from beauty_rec.events.asked import known_events
from beauty_rec.events.folds import starts_of, with_context
from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.measures.metrics import ndcg_at, recall_at
from beauty_rec.ranking.apply import load_rankers
from beauty_rec.ranking.features.knowledge import ItemKnowledge
from beauty_rec.recommender.fit.reranking import fit_reranking
from beauty_rec.recommender.offline.ordering import order_split
from beauty_rec.recommender.offline.split_asks import SplitAsks, split_asks
from beauty_rec.recommender.offline.split_candidates import SplitInputs, split_candidates
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.retriever.item_words import ItemWords
from beauty_rec.settings import Settings, Split
from beauty_rec.towers.items.served import load_item_tower, value_rows
from beauty_rec.towers.past.stored import PastItems
from beauty_rec.towers.users.current_items import current_items
from beauty_rec.towers.users.layout import SERVED
from beauty_rec.towers.users.train.folds import train_with_folds

HELD_OUT: tuple[Split, ...] = ("valid", "test")
BLOCKS = ("user_tower", "hybrid", "fused", "gbdt", "reranked", "served")
CANDIDATES = 100

Figures = dict[str, Any]
"""``seed``; ``served``: kind of ask → order; ``split scenario block`` → [Recall@100, NDCG@10]."""


@dataclass(frozen=True)
class Shop:
    """The artifacts of a run that stay as they are."""

    data: Path
    settings: Settings
    reviews: pl.DataFrame
    profiles: pl.DataFrame
    attributes: pl.DataFrame
    items: pl.DataFrame
    vectors: Vectors
    texts: Vectors
    past: PastItems

    @classmethod
    def of(cls, data: Path) -> "Shop":
        """Read them; whether the reranker starts from the item tower stays as the run chose it."""
        if not (data / "models" / "reranker").exists():
            raise SystemExit(f"{data} holds no run; make one: beauty-rec run --data-dir {data}")
        document = json.loads((data / "models" / "reranker" / "reranker.json").read_text())
        chosen = {"transfer": document["settings"]["transfer"], "ablation": False}
        settings = Settings(data_dir=data)
        reviews, profiles, attributes, items = (
            pl.read_parquet(data / "processed" / f"{name}.parquet", glob=False)
            for name in ("split_reviews", "user_profiles", "item_attributes", "raw_items")
        )
        return cls(
            data,
            settings.model_copy(update={"ranking": settings.ranking.model_copy(update=chosen)}),
            reviews,
            profiles,
            attributes,
            items,
            Vectors.load(data / "processed" / "item_vectors"),
            Vectors.load(data / "processed" / "item_embeddings"),
            PastItems.load(data / "processed" / "past_items"),
        )

    def figures(self, seed: int, folder: Path) -> Figures:
        """Train with a seed and measure; what stands in ``folder`` is taken as it is."""
        settings = self.settings.model_copy(
            update={
                room: getattr(self.settings, room).model_copy(update={"seed": seed})
                for room in ("user_tower", "ranking")
            }
        )
        models, processed = self.data / "models", self.data / "processed"
        known = self.reviews.filter(pl.col("split") != "test")
        tower, matrix, target = (folder / name for name in ("tower", "items", "reranker"))
        if not tower.exists():
            train_with_folds(
                known,
                self.vectors,
                self.texts,
                self.past,
                models / "text_retriever",
                self.profiles,
                settings,
                tower,
                folder / "checkpoints",
            )
        train = with_context(known.filter(split="train"), settings)
        current_items(tower / SERVED, train, self.profiles, self.vectors, self.texts).save(matrix)
        vocabulary = Vocabulary.load(processed / "vocabulary.json")
        knowledge = ItemKnowledge.of(
            self.attributes, self.items, known, self.profiles, vocabulary, settings,
            self.past.attributes,
        )  # fmt: skip
        encoder = TextEncoder.load(models / "text_retriever", settings.encoder)
        words = ItemWords.load(processed / "lexical_index")

        def asked(split: Split) -> SplitAsks:
            reviews = self.reviews if split == "test" else known
            inputs = SplitInputs(reviews, self.profiles, knowledge, self.texts, self.past, settings)
            lists = split_candidates(inputs, split, tower, matrix, words, encoder)
            return split_asks(lists, reviews, split, self.profiles, settings, tower)

        splits: dict[Split, SplitAsks] = {"valid": asked("valid")}
        lists, catalogue = splits["valid"].lists, self.items["parent_asin"].to_list()
        reviews, events = known_events(known, "valid", settings, tower)
        _, orders = fit_reranking(
            knowledge,
            asked("train"),
            starts_of(tower),
            splits["valid"],
            value_rows(load_item_tower(models / "item_tower")),
            settings.reads_texts,
            target,
            baselines=popularity_gains(
                lists.review_ids, lists.scenarios, events, reviews, catalogue
            ),
        )
        rankers, builder = load_rankers(target, vocabulary)
        splits["test"] = asked("test")
        found: Figures = {"seed": seed, "served": dict(orders.served)}
        for split, asks in splits.items():
            answers = order_split(asks, rankers, builder, orders, settings.reads_texts).frame
            for (scenario,), rows in answers.group_by(["scenario"], maintain_order=True):
                for block, ranks in answer_ranks(rows).items():
                    if block in BLOCKS:
                        values = recall_at(ranks, CANDIDATES).mean(), ndcg_at(ranks).mean()
                        found[f"{split} {scenario} {block}"] = [float(value) for value in values]
        return found


def table(seeds: Sequence[Mapping[str, Any]]) -> str:
    """Return medians and spread over the seeds as Markdown, one table for each scenario."""
    keys = [key.split() for key in seeds[0] if key not in ("seed", "served")]
    lines = []
    for scenario in dict.fromkeys(scenario for _, scenario, _ in keys):
        titles = [f"{split} {name}" for split in HELD_OUT for name in ("Recall@100", "NDCG@10")]
        lines += ["", f"| {scenario} | " + " | ".join(titles) + " |", "|---|--:|--:|--:|--:|"]
        for block in BLOCKS:
            cells = []
            for split in HELD_OUT:
                values = [seed.get(f"{split} {scenario} {block}") for seed in seeds]
                measured = [pair for pair in values if pair is not None]
                cells += [_cell([pair[at] for pair in measured]) for at in (0, 1)]
            if any(cells):
                lines.append(f"| {block} | " + " | ".join(cells) + " |")
    lines.append("")
    for kind in seeds[0]["served"]:
        served = Counter(seed["served"][kind] for seed in seeds)
        orders = ", ".join(f"{order} by {count}" for order, count in served.most_common())
        lines.append(f"Asked with {kind}, of {len(seeds)} seeds are served: {orders}.")
    return "\n".join(lines)


def _cell(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{median(values):.4f} ({min(values):.4f} to {max(values):.4f})"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of a finished run")
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--first", type=int, default=13, help="the first of them")
    parser.add_argument("--kept", type=Path, help="folder of the seeds that were measured before")
    given = parser.parse_args()
    shop = Shop.of(given.data)
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(scratch) if given.kept is None else given.kept
        wanted = range(given.first, given.first + given.seeds)
        print(table([measured(shop, seed, kept) for seed in wanted]))


def measured(shop: Shop, seed: int, kept: Path) -> Figures:
    """Return the figures of a seed; they are kept, and what they were made of is not."""
    folder, file = kept / f"seed-{seed}", kept / f"seed-{seed}.json"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_text_atomic(file, json.dumps(shop.figures(seed, folder), indent=1) + "\n")
        shutil.rmtree(folder)
    found: Figures = json.loads(file.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    main()
