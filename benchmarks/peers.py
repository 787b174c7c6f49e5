"""What a user would pick instead, on the same events: LightFM, ALS, item-item, SASRec, two stages.

    python benchmarks/peers.py [--data-dir data] [--python .cache/peers/bin/python] [--seeds N]

Each runs with the Python of an environment of its own (`make bench-peers`), learns from train,
makes its choices on valid, and answers the events of valid and test once, with the histories, seen
items, contexts and profiles that our stages are measured with. Texts are no part of what peers
read. What is printed are our metrics of their ranks, beside what is served: of several seeds the
run whose NDCG@10 on valid is the median. p is that of our report, clustered by user.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parent.parent))

from beauty_rec.artifacts import Vectors
from beauty_rec.evaluation.popularity import FORMS, Recency, context_popularity_ranks
from beauty_rec.evaluation.recommendation import baseline_ranks
from beauty_rec.evaluation.yardsticks import AskedEvents, Recencies
from beauty_rec.events.asked import known_events, split_events
from beauty_rec.events.folds import fold_starts
from beauty_rec.events.places import answer_set, item_lists, rows_of
from beauty_rec.measures.metrics import Ranks, ndcg_at, per_query, recall_at
from beauty_rec.measures.significance import compare
from beauty_rec.recommender.offline.scenarios import has_contexts
from beauty_rec.settings import Settings, Split
from beauty_rec.towers.users.profiles import ProfileEncoder, align
from benchmarks.peer_models.exchange import HELD_OUT, LATE, Asked, Shop, read_ranks

ROOT = Path(__file__).parent.parent
PEERS = {
    "lightfm_warp": "LightFM (WARP)",
    "als": "implicit ALS",
    "item_item": "implicit item-item",
    "sasrec": "SASRec (RecTools)",
    "two_stages": "two stages, LightGBM",
}
"""Module of `benchmarks/peer_models/` → its name in the table."""
SEEDED = ("lightfm_warp", "sasrec", "two_stages")
LATE_PARTS = (0.6, 0.7, 0.8, 0.9)
"""Where parts of train begin that a second stage learns from, with features as of their start."""
METRICS = ("recall@10", "recall@100", "mrr", "ndcg@10")
OURS = "what is served"


@dataclass(frozen=True)
class Run:
    """The artifacts of a run that a comparison reads."""

    settings: Settings
    reviews: pl.DataFrame
    events: Mapping[str, pl.DataFrame]
    profiles: pl.DataFrame
    ids: list[str]

    @classmethod
    def of(cls, data: Path) -> "Run":
        """Read them, by the functions of the asset ``ranking_metrics``."""
        settings, processed = Settings(data_dir=data), data / "processed"
        if not (processed / "recommendations").exists():
            raise SystemExit(f"{data} holds no run; make one: beauty-rec run --data-dir {data}")
        split_reviews = pl.read_parquet(processed / "split_reviews.parquet", glob=False)
        tower = data / "models" / "user_tower"
        events: dict[str, pl.DataFrame] = {}
        splits: tuple[Split, ...] = ("valid", "test")
        for split in splits:
            reviews, events[split] = known_events(split_reviews, split, settings, tower)
        return cls(
            settings,
            reviews,
            events,
            pl.read_parquet(processed / "user_profiles.parquet", glob=False),
            Vectors.load(processed / "item_vectors").ids,
        )

    def recencies(self) -> Recencies:
        """Return how long the past counts in popularity, chosen on valid."""
        return Recencies.chosen(AskedEvents.of(self.events["valid"], self.reviews, self.ids))

    def served(self, split: str) -> Ranks:
        """Return where the list as served has each answer: with the context if there is any."""
        path = self.settings.data_dir / "processed" / "recommendations" / f"{split}.parquet"
        lists = pl.read_parquet(path, glob=False, columns=["review_id", "scenario", "rank_served"])
        wanted = ["with_text", "without_text"] if has_contexts(self.reviews) else ["without_text"]
        first = pl.concat(lists.filter(scenario=name) for name in wanted).unique(
            "review_id", keep="first", maintain_order=True
        )
        found = self.events[split].join(first, on="review_id", how="left", maintain_order="left")
        return found["rank_served"].cast(pl.Float64).fill_null(np.inf).to_numpy()


def steady_recency(run: Run, ids: list[str]) -> Recency:
    """Return how long the past counts in the popularity that peers fall back on.

    The best form on valid by NDCG@100, which is steadier than the NDCG@10 of the report.
    """
    events, train = run.events["valid"], run.reviews.filter(split="train")
    answers, seen = rows_of(events["parent_asin"], ids), item_lists(events["seen"], ids)

    def figure(form: Recency) -> float:
        ranks = context_popularity_ranks(
            train, ids, events["context"], answers, recency=form, seen=seen
        )
        return float(ndcg_at(ranks, 100).sum())

    return max(FORMS, key=figure)


def shop_of(run: Run) -> Shop:
    """Return what the peers are given."""
    ids = answer_set(run.ids, run.reviews["parent_asin"])
    train = run.reviews.filter(split="train")
    users = sorted(run.reviews["user_id"].unique().to_list())
    contexts = train["context"].drop_nulls().unique().sort().to_list()
    people = align(run.profiles, users)
    encoder = ProfileEncoder.fit(run.profiles, train["user_id"].unique().to_list())
    numbers = [people[name].cast(pl.Float64).fill_null(np.nan) for name in encoder.numeric]
    groups = [rows_of(people[name], values) for name, values in encoder.values.items()]
    recency = steady_recency(run, ids)
    late = fold_starts(run.reviews, LATE_PARTS)

    def asked(events: pl.DataFrame) -> Asked:
        history, seen = events["history"], item_lists(events["seen"], ids).tocsr()
        flat = history.filter(history.list.len() > 0).explode()
        return Asked(
            user=rows_of(events["user_id"], users),
            context=rows_of(events["context"], contexts),
            answer=rows_of(events["parent_asin"], ids),
            time_ms=events["timestamp"].to_numpy().astype(np.int64),
            history=rows_of(flat, ids),
            history_start=np.r_[0, np.cumsum(history.list.len().to_numpy().astype(np.int64))],
            seen=seen.indices.astype(np.int64),
            seen_start=seen.indptr.astype(np.int64),
        )

    events = dict(run.events)
    events[LATE] = split_events(run.reviews, "train", run.settings, late[0])
    return Shop(
        items=len(ids),
        users=len(users),
        contexts=len(contexts),
        item=rows_of(train["parent_asin"], ids),
        user=rows_of(train["user_id"], users),
        context=rows_of(train["context"], contexts),
        time_ms=train["timestamp"].to_numpy().astype(np.int64),
        numbers=np.array(numbers, np.float32).reshape(len(numbers), len(users)).T,
        groups=np.array(groups, np.int64).reshape(len(groups), len(users)).T,
        recency=recency,
        late_starts=np.array(late, np.int64),
        asked={split: asked(of_split) for split, of_split in events.items()},
    )


def peer_ranks(
    python: Path, folder: Path, peers: list[str], seeds: int
) -> Iterator[tuple[str, dict[str, Ranks]]]:
    """Run each peer and yield its name with its ranks by split.

    Args:
        python: of the environment that has the peers' packages.
        folder: of :meth:`Shop.write`.
        peers: modules of `benchmarks/peer_models/`.
        seeds: runs of those that begin at random.
    """
    for peer in peers:
        runs = []
        for seed in range(1, 1 + (seeds if peer in SEEDED else 1)):
            target, start = folder / f"{peer}.{seed}.npz", time.perf_counter()
            module = f"benchmarks.peer_models.{peer}"
            command = [python, "-m", module, folder, target, "--seed", str(seed)]
            subprocess.run([str(part) for part in command], cwd=ROOT, check=True)
            ranks, choice = read_ranks(target)
            runs.append((float(per_query(ranks["valid"])["ndcg@10"].mean()), seed, ranks))
            took = time.perf_counter() - start
            print(f"{PEERS[peer]}, seed {seed}: {choice} in {took:.0f} s", flush=True)
        median = sorted(runs, key=lambda run: run[:2])[(len(runs) - 1) // 2]
        yield PEERS[peer], median[2]


def table(
    split: str, ranks: Mapping[str, Ranks], users: np.ndarray, in_train: np.ndarray
) -> Iterator[str]:
    """Yield the lines of a split's table; the first of ``ranks`` is ours.

    Args:
        split: its name.
        ranks: by method, ``[Q]`` each.
        users: code of each event's user.
        in_train: whether train has the answer.
    """
    rows = [*METRICS, "recall@100, answers in train", "the same, not in train"]
    yield f"\n| {split}, {len(users)} events | " + " | ".join(rows) + " |"
    yield "|---|" + "--:|" * len(rows)
    ours = ranks[OURS]
    mean = {name: values.mean() for name, values in per_query(ours).items()}
    for method, of_method in ranks.items():
        theirs = {name: values.mean() for name, values in per_query(of_method).items()}
        tests: Mapping[str, Any] = {}
        if method != OURS:
            tests = compare(ours, of_method, clusters=users)
        cells = []
        for name in METRICS:
            ratio = f"×{mean[name] / theirs[name]:.2f}, " if theirs[name] else ""
            beside = f" ({ratio}p {tests[name]['p']:.3f})" if tests else ""
            cells.append(f"{theirs[name]:.4f}{beside}")
        hits = recall_at(of_method, 100)
        cells += [
            f"{hits[part].mean():.4f}" if part.any() else "" for part in (in_train, ~in_train)
        ]
        yield f"| {method} | " + " | ".join(cells) + " |"


def disagreement(run: Run, served: Mapping[str, Ranks]) -> float:
    """Return the largest difference of what is served from `report.json`; 0 where that has none."""
    path = run.settings.data_dir / "evaluation" / "report.json"
    report = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    scenario = "with_text" if has_contexts(run.reviews) else "without_text"
    found = 0.0
    for split in HELD_OUT:
        block = report.get("answer", {}).get(split, {}).get(scenario, {}).get("served", {})
        if block.get("queries") != len(served[split]):
            continue  # some events have no text to ask with
        mean = {name: values.mean() for name, values in per_query(served[split]).items()}
        found = max([found, *(abs(block[name] - mean[name]) for name in METRICS)])
    return found


def main() -> None:
    """Run the peers, and print a table for each split."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="of a finished run")
    parser.add_argument("--python", type=Path, default=ROOT / ".cache" / "peers" / "bin" / "python")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--seeds", type=int, default=1, help="of peers that begin at random")
    options = parser.parse_args()
    if not options.python.exists():
        raise SystemExit(f"{options.python} is not there; make it and run this: make bench-peers")
    run = Run.of(options.data_dir.resolve())
    recencies = run.recencies()
    served = {split: run.served(split) for split in HELD_OUT}
    if (gap := disagreement(run, served)) > 1e-6:
        print(f"report.json and recommendations differ by {gap:.5f}: one of them is stale")
    ranks: dict[str, dict[str, Ranks]] = {
        split: {OURS: served[split], **baseline_ranks(events, run.reviews, run.ids, recencies)}
        for split, events in run.events.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        shop_of(run).write(Path(folder))
        found = peer_ranks(options.python, Path(folder), options.peers, options.seeds)
        for method, of_splits in found:
            for split in HELD_OUT:
                ranks[split][method] = of_splits[split]
    known = run.reviews.filter(split="train")["parent_asin"].unique()
    print(f"\npopularity: {recencies.overall}; within the context: {recencies.context}")
    print("in brackets: what is served divided by the method, and p of their difference")
    for split, events in run.events.items():
        users = events["user_id"].rank("dense").to_numpy().astype(np.int64)
        in_train = events["parent_asin"].is_in(known.implode()).to_numpy()
        print("\n".join(table(split, ranks[split], users, in_train)))


if __name__ == "__main__":
    main()
