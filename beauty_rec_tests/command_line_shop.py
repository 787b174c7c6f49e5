"""A small synthetic shop with the command line on it: built in seconds by a tiny encoder."""

import gzip
import json
import re
from pathlib import Path

import dagster as dg
import polars as pl
from typer.testing import CliRunner, Result

from beauty_rec.artifacts import content_hash
from beauty_rec.cli import app
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.orchestration.storage.records import latest_metadata
from beauty_rec.sample import SampleFiles, write_sample
from beauty_rec.settings import SampleSettings

LINE = re.compile(r"^(built|fresh|failed) +(\S+) +[\d.]+ s(  .*)?$")
LAST = re.compile(r"^(\d+) built, (\d+) fresh, (\d+) failed in [\d.]+ s$")

ALL_SPLITS = ["train", "valid", "test"]
TRAIN_SIDE = [
    "processed/keywords/train.parquet",
    "processed/raw_items.parquet",
    "processed/merged_items.parquet",
    "processed/training_pairs.parquet",
    "processed/base_embeddings",
    "processed/item_embeddings",
    "models/text_retriever",
    "processed/retrieval_candidates/train.parquet",
    "processed/item_attributes.parquet",
    "processed/vocabulary.json",
    "processed/item_vectors",
    "processed/past_items",
    "processed/item_index",
    "processed/user_candidates/train.parquet",
    "models/item_tower",
    "models/user_tower",
    "models/reranker",
]
SMALL = [
    "fine_tune.epochs=1",
    "fine_tune.frozen_layers=0",
    "item_tower.epochs=1",
    "item_tower.min_steps=60",
    "user_tower.epochs=1",
    "user_tower.origins=2",
    "user_tower.uniform_negatives=64",
    "recommendation.folds=[0.8]",
    "ranking.epochs=2",
    "ranking.trial_seeds=1",
    "ranking.trial_epochs=1",
    "evaluation.bootstrap_samples=100",
]


class Shop:
    """Input files, a data folder, and the command line on both."""

    def __init__(self, folder: Path, encoder: Path) -> None:
        self.data = folder / "data"
        self.files: SampleFiles = write_sample(
            folder / "input", SampleSettings(reviews=500, items=120, seed=5)
        )
        models = [f"encoder.model={encoder}", f"item_tower.title_encoder={encoder}"]
        self.settings = [*models, *SMALL]

    def call(self, *arguments: object) -> Result:
        return CliRunner().invoke(app, [*map(str, arguments), "--data-dir", str(self.data)])

    def run(self, *arguments: object) -> dict[str, str]:
        """Run and return the status of each step by name; the last line has to agree."""
        options = [f"--set={setting}" for setting in self.settings]
        named = ("reviews", "items", "profiles")
        inputs = [part for kind in named for part in (f"--{kind}", getattr(self.files, kind))]
        result = self.call("run", *inputs, *options, *arguments)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        print(result.stdout)  # shown when a test fails
        lines = result.stdout.strip().splitlines()
        statuses = {m[2]: m[1] for m in map(LINE.match, lines) if m}
        totals = LAST.match(lines[-1])
        assert totals, result.stdout
        counted = [list(statuses.values()).count(word) for word in ("built", "fresh", "failed")]
        assert [int(count) for count in totals.groups()] == counted
        assert result.exit_code == (1 if counted[2] else 0)
        return statuses

    def built(self, *arguments: object) -> list[str]:
        return [name for name, status in self.run(*arguments).items() if status == "built"]

    def split_of(self, split: str) -> pl.DataFrame:
        return pl.read_parquet(self.data / "processed" / "split_reviews.parquet").filter(
            split=split
        )

    def edit_text(self, review: dict, text: str) -> None:
        """Change the text of one review in the raw file."""
        rows = gzip.decompress(self.files.reviews.read_bytes()).split(b"\n")
        for number, row in enumerate(rows):
            if str(review["timestamp"]).encode() in row and review["user_id"].encode() in row:
                rows[number] = json.dumps({**json.loads(row), "text": text}).encode()
        self.files.reviews.write_bytes(gzip.compress(b"\n".join(rows), mtime=0))

    def append(self, rows: list[dict], kind: str = "reviews") -> None:
        """Add rows to a raw file."""
        path = getattr(self.files, kind)
        lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + lines, mtime=0))

    def facts(self, asset: str, partition: str | None = None) -> dict:
        """Return the metadata of an asset's last materialization."""
        with open_instance(self.data) as instance:
            return latest_metadata(instance, dg.AssetKey(asset), partition)

    def train_side(self) -> dict[str, str]:
        return {name: content_hash(self.data / name) for name in TRAIN_SIDE}
