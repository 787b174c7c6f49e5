"""Training examples per second: our DeepFM against deepctr-torch's, same data, batches and cores.

    python benchmarks/deepfm.py [--threads N] [--queries N] [--each N] [--batch N] [--runs N]

Random data in the reranker's layout (queries with ``each`` candidates, RE and history fields
with several ids, embeddings of 16); items are drawn by a heavy-tailed popularity, as retrievers
give them, and ``--uniform`` draws all alike, our model's worst case. Both models have the same
fields, hidden layers and shared embedding table, and see the same candidates in the same order,
whole queries in each batch, each batch ending with Adam's update. deepctr-torch (0.3.0) runs its
own ``fit`` without metrics or output, our model the loop of ``ranking/train.py``. Runs alternate
after one warm-up each; medians are reported, with the ratio of each pair of runs.
"""

import argparse
import contextlib
import io
import statistics
import sys
import time
from collections.abc import Callable
from types import ModuleType

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from beauty_rec.ranking.deepfm import DeepFM, Fields
from beauty_rec.ranking.examples import Examples
from beauty_rec.ranking.features.build import Features
from beauty_rec.ranking.features.spec import FeatureSpec
from beauty_rec.settings import RankingSettings

ROWS, ITEMS = 5_000, 5_572
SPEC = FeatureSpec(
    vocabulary_version="",
    user_fields={},
    item_fields={},
    numbers=[],
    labels=[],
    steps={},
    number_mean=[],
    number_std=[],
    history_length=50,
    half_lives_days=[14, 30, 60, 180, 720],
    context_half_lives_days=[60, 365],
)
SPEC = SPEC.model_copy(update={"mean": [0.0] * len(SPEC.raw), "std": [1.0] * len(SPEC.raw)})
FIELDS = Fields((8, 24, 1, 1, 1, 1), (1, 1, 1, 1, 1, 32), len(SPEC.dense))
SETTINGS = RankingSettings(embedding_dim=16, hidden=(128, 64), dropout=0.0)


def some_examples(queries: int, each: int, uniform: bool = False) -> Examples:
    """Random ids, half of the slots of wide fields empty; one positive per query."""
    draw = np.random.default_rng(7)

    def ids(count: int, widths: tuple[int, ...]) -> np.ndarray:
        parts = []
        for width in widths:
            part = draw.integers(3, ROWS, (count, width))
            if width > 1:
                part[np.arange(width) >= draw.integers(0, width + 1, (count, 1))] = 0
            parts.append(part)
        return np.concatenate(parts, axis=1).astype(np.int32)

    user_row = np.repeat(np.arange(queries), each)
    share = np.ones(ITEMS) if uniform else np.arange(1, ITEMS + 1) ** -0.8
    item_row = draw.choice(ITEMS, len(user_row), p=share / share.sum())
    raw = draw.normal(size=(len(user_row), len(SPEC.raw))).astype(np.float32)
    labels = (np.arange(len(user_row)) % each == 0).astype(np.float32)
    features = Features(ids(queries, FIELDS.user), ids(ITEMS, FIELDS.item), user_row, item_row, raw)
    return Examples(features, labels, SPEC)


def ours(examples: Examples, batch: int) -> Callable[[], float]:
    """Return a function that trains one epoch and returns its seconds."""
    torch.manual_seed(0)
    model = DeepFM(ROWS, FIELDS, SETTINGS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4, fused=True)
    count = len(examples.labels)

    def epoch() -> float:
        start = time.perf_counter()
        for first in range(0, count, batch):
            rows = np.arange(first, min(first + batch, count))
            logits = model(examples.batch(rows))
            loss = binary_cross_entropy_with_logits(logits, examples.targets(rows))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        return time.perf_counter() - start

    return epoch


def theirs(examples: Examples, batch: int) -> Callable[[], float]:
    """Return the same for deepctr-torch, whose input is one float matrix of all slots."""
    # Its version check asks a package index from a thread; this stands in for the check.
    quiet = ModuleType("deepctr_torch.utils")
    quiet.check_version = lambda version: None  # type: ignore[attr-defined]
    sys.modules.setdefault("deepctr_torch.utils", quiet)
    from deepctr_torch.inputs import DenseFeat, SparseFeat, VarLenSparseFeat
    from deepctr_torch.models import DeepFM as Reference

    told = examples.features
    columns, inputs, place = [], {}, 0
    plain = np.concatenate([told.user_ids[told.user_row], told.item_ids[told.item_row]], axis=1)
    for name, width in enumerate((*FIELDS.user, *FIELDS.item)):
        feature = SparseFeat(f"f{name}", ROWS, SETTINGS.embedding_dim, embedding_name="ids")
        columns.append(feature if width == 1 else VarLenSparseFeat(feature, width, "mean"))
        inputs[f"f{name}"] = plain[:, place : place + width]
        place += width
    columns.append(DenseFeat("dense", FIELDS.dense))
    inputs["dense"] = SPEC.standardise(told.raw)
    model = Reference(columns, columns, dnn_hidden_units=SETTINGS.hidden, seed=0)
    model.compile("adam", "binary_crossentropy")

    def epoch() -> float:
        with contextlib.redirect_stdout(io.StringIO()):
            start = time.perf_counter()
            model.fit(inputs, examples.labels, batch, epochs=1, verbose=0, shuffle=False)
            return time.perf_counter() - start

    return epoch


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--each", type=int, default=100)
    parser.add_argument("--batch", type=int, default=SETTINGS.batch_size)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--uniform", action="store_true", help="items equally popular")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    examples = some_examples(args.queries, args.each, args.uniform)
    epochs = {"ours": ours(examples, args.batch), "theirs": theirs(examples, args.batch)}
    for epoch in epochs.values():
        epoch()
    rates: dict[str, list[float]] = {name: [] for name in epochs}
    for _ in range(args.runs):
        for name, epoch in epochs.items():
            rates[name].append(len(examples.labels) / epoch())
    ratios = [a / b for a, b in zip(rates["ours"], rates["theirs"], strict=True)]
    print(
        f"{args.threads} threads, batch {args.batch}, {args.each} candidates a query: "
        f"beauty_rec {statistics.median(rates['ours']):,.0f} examples/s, "
        f"deepctr-torch {statistics.median(rates['theirs']):,.0f} examples/s, "
        f"ratio {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
    )


if __name__ == "__main__":
    main()
