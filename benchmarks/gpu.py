"""What a GPU does for the heavy parts: embedding, fine-tuning, the towers. No model is fetched.

    python benchmarks/gpu.py [--data-dir data] [--items 112590] [--steps 2000] [--seconds 180]
    python benchmarks/gpu.py --device cpu --layers 2 --hidden 64 --items 200 --steps 3 --seconds 20

BGE-M3 and DistilBERT have their true shapes and random weights, which cost what trained ones do;
their tokenizers are learnt from the item texts. Texts, pairs and events are those of a finished
run, repeated until there are as many as asked for. All else is the product's own code with the
settings of the profile ``full``; a training is ended from outside after ``--steps`` or
``--seconds``, and what the whole would take is reckoned from the rate of its steps. The share of
the card's peak is that of 2 FLOP for each token and parameter of the Transformer's blocks, padding
not counted.

Where there is no CUDA device it says what is missing and exits with 77: skipped. The second command
is the same path in small, on the CPU: it shows that all of it runs, and has no aims.
"""

import argparse
import math
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

sys.path.insert(0, str(Path(__file__).parent.parent))

from beauty_rec.cli.plan.shapes import shape_of
from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.retriever.finetune import fine_tune
from beauty_rec.settings import Settings
from beauty_rec.towers.items.features import item_features
from beauty_rec.towers.items.inputs import ItemInputs, item_inputs
from beauty_rec.towers.items.titles import load_title_reader
from beauty_rec.towers.items.train import steps_of_epoch, train_item_tower
from beauty_rec.towers.users.train.data import user_tower_data
from beauty_rec.towers.users.train.recipe import train_user_tower
from beauty_rec_tests.full.tiny_models import make_bge_m3, make_distilbert
from benchmarks import deepfm
from benchmarks.ablations import Shop

PEAKS = {
    "B200": 2_250, "H200 NVL": 835, "H200": 989, "H100 PCIe": 756, "H100 NVL": 835, "H100": 989,
    "A100": 312, "L40S": 362, "L4": 121,
}  # fmt: skip
"""Dense bfloat16 TFLOP/s of the makers' data sheets; the first name that a card's own holds."""
SKIPPED = 77
"""What automake's and meson's test runners, and the Makefile here, take for skipped."""
WARM_UP = 3
"""Steps that are not timed."""
FEW = 200
"""Steps that tell the rate of a small model."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    measured: str
    aim: str = ""

    def line(self) -> str:
        """Return it as Markdown."""
        return f"| {self.what} | {self.measured} | {self.aim} |"


class Enough(Exception):
    """Ends a training of which enough was seen."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="of a finished run")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--items", type=int, default=112_590)
    parser.add_argument("--steps", type=int, default=2_000, help="of a training, at most")
    parser.add_argument("--seconds", type=float, default=180, help="of a training, at most")
    parser.add_argument("--layers", type=int, help="of both models; default: as they have them")
    parser.add_argument("--hidden", type=int, help="width of both models, a multiple of 64")
    told = parser.parse_args()
    if told.device.startswith("cuda") and (fault := missing()):
        print(f"benchmarks/gpu.py: {fault}", file=sys.stderr)
        sys.exit(SKIPPED)
    shop = Shop.of(told.data_dir)
    print("| what | measured | aim |\n|---|---|--:|")
    with tempfile.TemporaryDirectory(prefix="beauty-rec-gpu-") as folder:
        measure(shop, Path(folder), told)
    print(f"\n{machine(told.device)}")


def missing() -> str | None:
    """Return what keeps CUDA from being used here, in a line; None: nothing does."""
    if torch.cuda.is_available():
        return None
    if torch.version.cuda is None:
        why = f"torch {torch.__version__} is built without CUDA"
    else:
        why = f"torch {torch.__version__} finds no GPU with a driver (see nvidia-smi)"
    return f"{why}; --device cpu --layers 2 --hidden 64 --items 200 runs the same path in small"


def machine(device: str) -> str:
    """Return the machine and the versions in a sentence."""
    where = f"{os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}"
    if torch.device(device).type != "cuda":
        return f"CPU; {where}."
    held = torch.cuda.max_memory_allocated(device) / 2**30
    name, cuda = torch.cuda.get_device_name(device), torch.version.cuda
    return f"{name} (at most {held:.1f} GiB of its memory held); {where}, CUDA {cuda}."


def measure(shop: Shop, folder: Path, told: argparse.Namespace) -> None:
    """Print the lines of the table as they are measured."""
    processed = shop.settings.data_dir / "processed"
    items = pl.read_parquet(processed / "merged_items.parquet", glob=False)
    known = items["text"].to_list()
    models = make_models(folder, known, told.layers, told.hidden)
    settings = full_settings(folder, *models, told.device)

    in_small = told.device == "cpu" or told.layers or told.hidden

    def show(row: Row) -> None:
        print((replace(row, aim="") if in_small else row).line(), flush=True)

    show(embedding(repeated(known, told.items), settings))
    pairs = pl.read_parquet(processed / "training_pairs.parquet", glob=False)
    show(fine_tuning(pairs, folder, settings, told.steps, told.seconds))
    inputs = many_items(inputs_of(shop, items), told.items)
    show(item_tower(inputs, folder, settings, told.steps, told.seconds))
    devices = list(dict.fromkeys((told.device, "cpu")))
    rates = [user_tower(shop, folder, settings, device, told.seconds) for device in devices]
    said = ", ".join(f"{d} {r:.1f} steps/s" for d, r in zip(devices, rates, strict=True))
    size = settings.user_tower.batch_size
    show(Row(f"user tower, batches of {size} events", said))
    show(reranker())


def make_models(
    folder: Path, texts: Sequence[str], layers: int | None, hidden: int | None
) -> tuple[Path, Path]:
    """Write BGE-M3 and DistilBERT with random weights; smaller ones where told so."""
    large, small = (
        shape_of(name).config for name in ("BAAI/bge-m3", "distilbert/distilbert-base-uncased")
    )
    of_large = {
        name: getattr(large, name)
        for name in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                     "intermediate_size", "max_position_embeddings")
    }  # fmt: skip
    of_small = {
        name: getattr(small, name)
        for name in ("vocab_size", "dim", "n_layers", "n_heads", "hidden_dim")
    }
    if layers:
        of_large["num_hidden_layers"] = of_small["n_layers"] = layers
    if hidden:
        of_large["hidden_size"] = of_small["dim"] = hidden
        of_large["num_attention_heads"] = of_small["n_heads"] = hidden // 64
        of_large["intermediate_size"] = of_small["hidden_dim"] = 4 * hidden
    # So deep a model overflows from weights as large as those that the tiny one has.
    return (
        make_bge_m3(folder / "bge-m3", texts, **of_large, initializer_range=0.02),
        make_distilbert(folder / "distilbert", texts, **of_small),
    )


def full_settings(folder: Path, encoder: Path, titles: Path, device: str) -> Settings:
    """Return the profile ``full`` with these models on a device."""
    told = Settings(profile="full", data_dir=folder, reviews=folder / "reviews.jsonl")
    changes: dict[str, dict[str, Any]] = {
        "encoder": {"model": str(encoder), "device": device},
        "item_tower": {"title_encoder": str(titles)},
    }
    return told.model_copy(
        update={
            room: getattr(told, room).model_copy(update=values) for room, values in changes.items()
        }
    )


def repeated(texts: Sequence[str], count: int) -> list[str]:
    """Return ``count`` texts, over and over in their order."""
    return [texts[number % len(texts)] for number in range(count)]


def peak_of(card: str) -> int | None:
    """Return a card's dense bfloat16 TFLOP/s; None: it is not known, or a slice of a card.

    >>> peak_of("NVIDIA H100 80GB HBM3"), peak_of("NVIDIA A100-SXM4-40GB MIG 1g.5gb")
    (989, None)
    """
    if "MIG" in card:
        return None
    return next((peak for name, peak in PEAKS.items() if re.search(rf"\b{name}\b", card)), None)


def embedding(texts: Sequence[str], settings: Settings) -> Row:
    """Item texts to vectors, in the chunks in which a run does it."""
    encoder = TextEncoder.load(settings.encoder.model, settings.encoder)
    lengths = np.minimum(np.add(encoder.count_tokens(texts), 2), encoder.max_item_tokens)
    tokens, chunk = int(lengths.sum()), settings.encoder.chunk
    encoder.encode_items(texts[:512])
    began = time.perf_counter()
    for start in range(0, len(texts), chunk):
        encoder.encode_items(texts[start : start + chunk])
    took = time.perf_counter() - began
    said = f"{took:.1f} s: {len(texts) / took:,.0f} texts/s, {tokens / took:,.0f} tokens/s"
    device = encoder.model.device
    if device.type == "cuda" and (peak := peak_of(torch.cuda.get_device_name(device))):
        done = 2 * shape_of(settings.encoder.model).blocks * tokens / took / 1e12
        said += f", {done:.0f} of {peak} TFLOP/s ({done / peak:.0%})"
    what = f"embedding {len(texts):,} item texts of {tokens / len(texts):.0f} tokens"
    return Row(f"{what} in {encoder.precision_of_items(quantized=False)}", said, "60 s")


def rate_of(train: Callable[[], object], steps: int, seconds: float) -> tuple[float, int]:
    """Run a training; return its steps per second after a warm-up, and how many were timed.

    It is ended from outside after so many steps or seconds: recipes know no such end.

    Raises:
        RuntimeError: it ended before two steps.
    """
    ends: list[float] = []

    def after(*_: object) -> None:
        ends.append(time.perf_counter())
        if len(ends) > steps or ends[-1] - ends[0] > seconds:
            raise Enough

    handle = register_optimizer_step_post_hook(after)
    try:
        with suppress(Enough):
            train()
    finally:
        handle.remove()
    if len(ends) < 2:
        raise RuntimeError(f"a training of {len(ends)} steps has no rate")
    first = min(WARM_UP, len(ends) - 2)
    timed = len(ends) - 1 - first
    return timed / (ends[-1] - ends[first]), timed


def many_pairs(pairs: pl.DataFrame, count: int) -> pl.DataFrame:
    """Return ``count`` pairs: numbered copies of those of a run, each copy of other items."""
    copies = pl.DataFrame({"copy": range(-(-count // pairs.height))})
    own = pl.col("query", "positive", "parent_asin", "review_id")
    numbered = copies.join(pairs, how="cross").head(count)
    return numbered.select(own + pl.format(" {}", "copy"))


def fine_tuning(
    pairs: pl.DataFrame, folder: Path, settings: Settings, steps: int, seconds: float
) -> Row:
    """Steps of the retriever's training, all its layers and the gradient cache included."""
    tune = settings.fine_tune.model_copy(update={"epochs": 1})
    size = tune.batch_size
    given = many_pairs(pairs, (steps + 2) * size)
    target, checkpoints = folder / "tuned", folder / "checkpoints"
    rate, timed = rate_of(
        lambda: fine_tune(given, settings.encoder, tune, target, checkpoints, None), steps, seconds
    )
    minutes = 2e6 / (rate * size) / 60
    said = f"{rate * size:,.0f} pairs/s; 2 epochs of 1 M pairs, reckoned: {minutes:,.0f} min"
    return Row(f"fine-tuning, {timed} steps of {size} pairs", said, "45 min")


def inputs_of(shop: Shop, items: pl.DataFrame) -> ItemInputs:
    """Return what the run's item tower read."""
    processed = shop.settings.data_dir / "processed"
    attributes = pl.read_parquet(processed / "item_attributes.parquet", glob=False)
    known, train = (
        Vocabulary.load(processed / "vocabulary.json"),
        shop.reviews.filter(split="train"),
    )
    return item_inputs(attributes, known, items, train, shop.profiles, shop.settings)


def many_items(inputs: ItemInputs, count: int) -> ItemInputs:
    """Return ``count`` items, each with the STD values of one, the RE values of another, a title.

    Titles are numbered: items that nothing tells apart would count once.
    """
    known = inputs.features
    draw = np.random.default_rng(13)
    std, re_ = draw.integers(len(known), size=(2, count))
    title = draw.integers(len(known.titles), size=count)
    titles = {f"B{row:09d}": f"{known.titles[own]} {row}" for row, own in enumerate(title)}
    features = item_features(list(titles), known.std[std], known.re[re_], titles)
    return replace(inputs, features=features, classes=inputs.classes[std])


def item_tower(
    inputs: ItemInputs, folder: Path, settings: Settings, steps: int, seconds: float
) -> Row:
    """One epoch of the item tower, its title encoder trained along."""
    own = steps_of_epoch(len(inputs.features), settings.item_tower)
    tower = settings.item_tower.model_copy(update={"epochs": 1, "min_steps": own, "max_steps": own})
    device, precision = settings.encoder.device, settings.encoder.precision
    titles = load_title_reader(
        inputs.features.titles, tower, device=device, precision=precision, scratch=folder
    )
    target = folder / "item_tower"
    rate, timed = rate_of(
        lambda: train_item_tower(inputs, titles, tower, target, device=device, precision=precision),
        min(steps, max(1, own - 1)),  # the report after an epoch is not looked at
        seconds,
    )
    what = f"item tower, an epoch of {own} steps over {len(inputs.features):,} items"
    said = f"{own / rate:,.1f} s, by {timed} steps at {rate:.2f} steps/s"
    return Row(what, said, "2 min")


def user_tower(shop: Shop, folder: Path, settings: Settings, device: str, seconds: float) -> float:
    """Return the steps per second of the user tower's training on a device."""
    reviews = shop.reviews.filter(pl.col("split") != "test")
    data = user_tower_data(reviews, shop.vectors, shop.contexts, shop.profiles, shop.texts)
    data = replace(data, valid=data.valid[:0])  # no early stopping
    tower = settings.user_tower.model_copy(update={"epochs": 1_000})
    target, precision = folder / "user_tower", settings.encoder.precision
    rate, _ = rate_of(
        lambda: train_user_tower(data, tower, target, device=device, precision=precision),
        FEW,
        min(seconds, 60),
    )
    return rate


def reranker() -> Row:
    """The reranker's steps: it is small, and its recipe computes on the CPU wherever it runs."""
    size = deepfm.SETTINGS.batch_size
    examples = deepfm.some_examples(400, 100)
    epoch = deepfm.ours(examples, size)
    epoch()
    rate = math.ceil(len(examples.labels) / size) / epoch()
    what = f"reranker, batches of {size:,} candidates, on the CPU"
    return Row(what, f"cpu {rate:.1f} steps/s")


if __name__ == "__main__":
    main()
