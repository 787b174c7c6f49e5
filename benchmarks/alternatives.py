"""This project against what one would use instead, each pair in one run and in turns.

    python benchmarks/alternatives.py [--rounds 5] [--only reading,search] [--data-dir data]

Reading against pandas with a pydantic model, encoding against plain `SentenceTransformer.encode`,
fine-tuning against the plain loop of sentence-transformers, the reranker against deepctr-torch, the
indexes against exact search, and what is served against popularity (of the report in the data
folder). Prints medians and the ratio of each round's pair, and writes them, with the machine and
the versions, into docs/benchmarks.md as each part is done; ``--only`` writes its own rows anew.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.corpus.intake.ingest import ingest_reviews
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.settings import (
    PACKAGED_ENCODER,
    CorpusSettings,
    EncoderSettings,
    FineTuneSettings,
    ItemIndexSettings,
    TextIndexSettings,
)
from benchmarks import deepfm, encoding
from benchmarks.pgvector_load import make_items
from benchmarks.reading import NOW_MS, write_reviews

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- alternatives -->", "<!-- /alternatives -->"
LIBRARIES = ("torch", "sentence-transformers", "polars", "pandas", "pydantic", "deepctr-torch",
             "chromadb", "pgvector", "dagster")  # fmt: skip
HEAD = "| what | instead of | ratio, its range | this project | the other | rounds | load before |"
REVIEWS, TEXTS, PAIRS, BATCH = 200_000, 600, 512, 32
VECTORS, WIDTH, ASKED, K = 30_000, 128, 200, 100
Run = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One comparison: units a second of both, and the ratio of each round's pair."""

    what: str
    instead: str
    unit: str
    ours: float
    theirs: float
    ratios: Sequence[float]
    load: float

    def line(self) -> str:
        """Return the row of the table."""
        least, most = min(self.ratios), max(self.ratios)
        return (
            f"| {self.what} | {self.instead} | **{statistics.median(self.ratios):.2f} ×** "
            f"({least:.2f} to {most:.2f}) | {_rate(self.ours)} {self.unit} | "
            f"{_rate(self.theirs)} {self.unit} | {len(self.ratios)} | {self.load:.1f} |"
        )


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.4g}"


def in_turns(
    what: str, instead: str, unit: str, count: int, pair: tuple[Run, Run], rounds: int
) -> Row:
    """Run both in turns after one warm-up each; ``count`` units are done by a run."""
    rates: tuple[list[float], list[float]] = ([], [])
    load = os.getloadavg()[0]
    for run in pair:
        run()
    for _ in range(rounds):
        for run, found in zip(pair, rates, strict=True):
            began = time.perf_counter()
            run()
            found.append(count / (time.perf_counter() - began))
    ratios = [ours / theirs for ours, theirs in zip(*rates, strict=True)]
    return Row(what, instead, unit, *map(statistics.median, rates), ratios, load)


def reading(folder: Path, rounds: int) -> list[Row]:
    """Validated, deduplicated reviews in Parquet, from JSON Lines with faults."""
    import pandas as pd
    from pydantic import BaseModel, Field, ValidationError

    class Review(BaseModel):
        rating: float = Field(ge=1, le=5)
        title: str = ""
        text: str = ""
        user_id: str = Field(min_length=1)
        parent_asin: str = Field(min_length=1)
        timestamp: int = Field(ge=10**11, le=NOW_MS)
        helpful_vote: int = 0
        verified_purchase: bool = False

    source = folder / "reviews.jsonl"
    write_reviews(source, REVIEWS)

    def ours() -> None:
        refused = folder / "refused.parquet"
        ingest_reviews(source, folder / "ours.parquet", refused, CorpusSettings(), NOW_MS)

    def theirs() -> None:
        kept = []
        for line in source.open("rb"):
            try:
                kept.append(Review.model_validate_json(line).model_dump())
            except ValidationError:
                continue
        frame = pd.DataFrame(kept).drop_duplicates(["user_id", "parent_asin", "timestamp"])
        # pandas writes Parquet by pyarrow, which is no dependency here.
        pl.DataFrame(frame.to_dict("list")).write_parquet(folder / "theirs.parquet")

    return [in_turns("reading reviews", "pandas + pydantic", "rows/s", REVIEWS,
                     (ours, theirs), rounds)]  # fmt: skip


def texts_of(data_dir: Path, count: int) -> list[str]:
    """Return texts of items of a run's data folder."""
    items = pl.read_parquet(data_dir / "processed" / "merged_items.parquet", glob=False)
    texts: list[str] = items["text"].sample(min(count, len(items)), seed=13).to_list()
    return texts


def encoding_items(data_dir: Path, rounds: int) -> list[Row]:
    """Item texts to vectors with the packaged encoder, in each precision that it has here."""
    texts = texts_of(data_dir, TEXTS)
    ways = encoding.ways_of(TextEncoder.load(PACKAGED_ENCODER, EncoderSettings()))
    plain = ways.pop("plain encode")
    return [
        in_turns(f"encoding items, {name}", "plain encode", "texts/s", len(texts),
                 (lambda way=way: way(texts), lambda: plain(texts)), rounds)  # type: ignore[misc]
        for name, way in ways.items()
    ]  # fmt: skip


def fine_tuning(data_dir: Path, folder: Path, rounds: int) -> list[Row]:
    """One epoch over the same pairs and batch size, from the packaged encoder to saved weights."""
    from sentence_transformers import InputExample, SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from torch.utils.data import DataLoader

    from beauty_rec.retriever.finetune import fine_tune
    from beauty_rec.retriever.model_files import resolve_model

    pairs = pl.read_parquet(data_dir / "processed" / "training_pairs.parquet", glob=False)
    pairs = pairs.sample(min(PAIRS, len(pairs)), seed=13)
    settings = FineTuneSettings(epochs=1, batch_size=BATCH, frozen_layers=0)

    def ours() -> None:
        target, checkpoints = folder / "ours", folder / "checkpoints"
        fine_tune(pairs, EncoderSettings(), settings, target, checkpoints, None)

    def theirs() -> None:
        model = SentenceTransformer(str(resolve_model(PACKAGED_ENCODER)), device="cpu")
        model.max_seq_length = EncoderSettings().max_item_tokens
        data = [InputExample(texts=list(pair)) for pair in pairs["query", "positive"].iter_rows()]
        batches = DataLoader(data, batch_size=BATCH, shuffle=True, drop_last=True)
        objective = (batches, MultipleNegativesRankingLoss(model))
        model.old_fit([objective], epochs=1, warmup_steps=1, show_progress_bar=False)
        model.save(str(folder / "theirs"))

    return [in_turns("fine-tuning", "SentenceTransformer.old_fit", "pairs/s", len(pairs),
                     (ours, theirs), rounds)]  # fmt: skip


def reranking(rounds: int) -> list[Row]:
    """Training examples of the reranker; see ``benchmarks/deepfm.py``."""
    examples = deepfm.some_examples(400, 100)
    pair = (deepfm.ours(examples, 2_048), deepfm.theirs(examples, 2_048))
    count = len(examples.labels)
    return [in_turns("training DeepFM", "deepctr-torch", "rows/s", count, pair, rounds)]


def searching(folder: Path, rounds: int) -> list[Row]:
    """The 100 nearest of 30,000 vectors, one question at a time, and Recall@100 of the indexes."""
    from beauty_rec.search.chroma import build as chroma
    from beauty_rec.search.chroma.index import open_current as open_chroma
    from beauty_rec.search.exact import ExactIndex
    from beauty_rec.search.pgvector import build as pgvector
    from beauty_rec.search.pgvector.index import open_current as open_pgvector
    from beauty_rec.search.pgvector.server import postgres

    vectors = make_items(VECTORS, WIDTH)
    queries = np.array(vectors.matrix[:: VECTORS // ASKED][:ASKED])
    exact = ExactIndex(vectors)

    def each(index: object) -> Run:
        return lambda: [index.search(query[None], K) for query in queries]  # type: ignore[attr-defined]

    found = []
    made = chroma.build_index(folder / "chroma", vectors, "one", TextIndexSettings())
    with open_chroma(folder / "chroma") as index:
        name = f"ChromaDB, recall {made.recall_vs_exact:.3f}"
        found.append(in_turns(name, "exact search", "asks/s", ASKED,
                              (each(index), each(exact)), rounds))  # fmt: skip
    settings = ItemIndexSettings(grace_seconds=0)
    with postgres(folder / "postgres") as dsn:
        made = pgvector.build_index(dsn, vectors, "one", settings)
        with open_pgvector(dsn, settings) as index:
            name = f"pgvector, recall {made.recall_vs_exact:.3f}"
            found.append(in_turns(name, "exact search", "asks/s", ASKED,
                                  (each(index), each(exact)), rounds))  # fmt: skip
    return found


def answers(data_dir: Path) -> list[str]:
    """Rows of NDCG@10 of what is served, beside the best form of popularity, on test."""
    report = json.loads((data_dir / "evaluation" / "report.json").read_text(encoding="utf-8"))
    popular = ("popularity", "recent_popularity", "context_popularity")
    known = report["recommendation"]["test"]
    best = max((name for name in popular if name in known), key=lambda n: known[n]["ndcg@10"])
    theirs = known[best]["ndcg@10"]
    shop = " of the synthetic sample" if report["dataset"]["synthetic"] else ""
    lines = []
    for scenario, blocks in report["answer"]["test"].items():
        ours = blocks["served"]["ndcg@10"]
        lines.append(f"| answers {scenario}, NDCG@10 on test{shop} | {best} | "
                     f"**{ours / theirs:.2f} ×** | {ours:.4f} | {theirs:.4f} | | |")  # fmt: skip
    return lines


def machine() -> str:
    """Return the machine and the versions in a sentence."""
    names = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")] or [platform.processor()]  # fmt: skip
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"{torch.get_num_threads()} threads on {os.cpu_count()} cores ({names[0]}); "
        f"Python {platform.python_version()}, {libraries}."
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="reading, encoding, fine-tuning, reranking, search, answers")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="beauty-rec-bench-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)  # PostgreSQL runs as a user of its own where this one is root
        parts: dict[str, Callable[[], Sequence[Row | str]]] = {
            "reading": lambda: reading(folder, given.rounds),
            "encoding": lambda: encoding_items(given.data_dir, given.rounds),
            "fine-tuning": lambda: fine_tuning(given.data_dir, folder, given.rounds),
            "reranking": lambda: reranking(given.rounds),
            "search": lambda: searching(folder, given.rounds),
            "answers": lambda: answers(given.data_dir),
        }
        chosen = given.only.split(",") if given.only else list(parts)
        for name in chosen:
            rows = parts[name]()
            lines = [row.line() if isinstance(row, Row) else row for row in rows]
            print("\n".join(lines), flush=True)
            write_rows(lines)


def write_rows(lines: Sequence[str]) -> None:
    """Write rows into the page, each in the place of the one that it had before."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    old, after = rest.split(END)
    known = {_subject(row): row for row in old.splitlines() if row.startswith("| ")}
    known.pop(_subject(HEAD), None)
    known |= {_subject(row): row for row in lines}
    table = "\n".join([HEAD, "|---|---|---|--:|--:|--:|--:|", *known.values()])
    write_text_atomic(PAGE, f"{before}{BEGIN}\n{table}\n\n{machine()}\n{END}{after}")


def _subject(row: str) -> str:
    """Return what a row is about; the recall of an index may be another one each time."""
    return row.split("|")[1].split(", recall")[0].strip()


if __name__ == "__main__":
    main()
