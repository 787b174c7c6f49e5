"""What each heavy stage takes: work, hours, memory and disk."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from beauty_rec.cli.plan.data import DataAtHand
from beauty_rec.cli.plan.rates import Rates
from beauty_rec.cli.plan.shapes import Shape
from beauty_rec.evaluation.retrieval import JUDGED_ITEMS, JUDGED_QUERIES
from beauty_rec.retriever.chunks import WITHOUT_GPU, tokens_that_fit
from beauty_rec.settings import Settings

GB = 1e9
EMBEDDINGS = ("base_embeddings", "item_embeddings")
PADDED = 1.2
"""Tokens of a batch with those that pad its texts, to those without."""
PROCESS_GB = 0.7
"""Resident memory of a process that has imported torch and transformers."""


@dataclass(frozen=True)
class Line:
    """One stage.

    Attributes:
        asset: or assets, with a comma.
        work: amounts, in words.
        seconds: None where no rate was measured.
        memory: bytes of this machine's memory at the peak, the process's own included.
        gpu_memory: bytes of the GPU's memory; 0 on a CPU.
        disk: bytes that stay.
        passing_disk: bytes that are needed on the way and go again.
        written: bytes written in all, checkpoints included.
    """

    asset: str
    work: str
    seconds: float | None
    memory: float = 0.0
    gpu_memory: float = 0.0
    disk: float = 0.0
    passing_disk: float = 0.0
    written: float = 0.0


@dataclass(frozen=True)
class FineTuning:
    """The training of the text retriever.

    Attributes:
        steps: of the optimizer, at most: early stopping may end it before, and pairs of one item
            share no batch, so that few items fill fewer.
        tokens: of queries and item texts in all steps, each counted once.
        batch_tokens: of the share of a full batch that one process trains.
        learning_bytes: of weights, gradients and moments.
        checkpoint_bytes: of one, with the best weights so far.
    """

    steps: int
    tokens: float
    batch_tokens: float
    learning_bytes: int
    checkpoint_bytes: int


def fine_tuning(data: DataAtHand, settings: Settings, shape: Shape) -> FineTuning:
    """Return the steps, tokens and checkpoints of the training."""
    tune = settings.fine_tune
    size = max(1, min(tune.batch_size, data.items))  # a batch has no item twice
    batches, rest = divmod(data.pairs, size)
    # What cannot fill half a batch is left out, unless there is no other.
    more = rest >= max(2, size // 2) or (batches == 0 and rest >= 2)
    rows = batches * size + (rest if more else 0)
    steps = tune.epochs * (batches + more)
    texts = data.query_tokens + data.positive_tokens * (1 + tune.hard_negatives)
    frozen = 0 if tune.frozen_layers == 0 else shape.embeddings
    trained = shape.parameters - frozen
    trained -= shape.blocks * tune.frozen_layers // shape.layers if frozen else 0
    one = 4 * (shape.parameters + 2 * trained + shape.parameters)
    return FineTuning(
        steps=steps,
        tokens=tune.epochs * rows * texts,
        batch_tokens=size * texts / tune.processes,
        learning_bytes=4 * (shape.parameters + 3 * trained),
        checkpoint_bytes=one,
    )


def text_retriever(
    data: DataAtHand, settings: Settings, shape: Shape, rates: Rates, gpu_memory: float
) -> Line:
    """Return the line of the fine-tuning, its evaluations on valid included.

    Args:
        data: the pairs and their tokens.
        settings: the training's.
        shape, rates: of the encoder.
        gpu_memory: bytes of the GPU's memory; of no matter on a CPU.
    """
    tune = settings.fine_tune
    work = fine_tuning(data, settings, shape)
    on_gpu = rates.device != "cpu"
    chunk = tune.chunk_tokens or WITHOUT_GPU
    if on_gpu and tune.chunk_tokens is None:
        memory = gpu_memory * settings.gpu.memory_share
        chunk = tokens_that_fit(memory, work.learning_bytes, rates.activation_bytes)
    padded = PADDED * work.batch_tokens
    cached = padded > chunk
    # The gradient cache passes forward twice, a guide once more.
    more = cached + (tune.guide_margin is not None)
    training = work.tokens * (1 / rates.train + more / rates.encode) + work.steps * rates.update
    looks = 1 + min(work.steps, tune.epochs * tune.evaluations_per_epoch)
    asked = min(settings.evaluation.max_queries, JUDGED_QUERIES)
    valid = min(asked, (data.reviews - data.train_reviews) // 2)
    items = min(data.items, JUDGED_ITEMS)
    scoring = looks * (items * data.item_tokens + valid * data.query_tokens) / rates.encode
    every = 60 * tune.checkpoint_minutes
    checkpoints = min(work.steps - 1, int(training // every)) if every else work.steps - 1
    checkpoints = max(0, checkpoints)
    learning = work.learning_bytes + min(chunk, padded) * rates.activation_bytes
    # Untuned and best weights are kept in memory, a checkpoint copies the moments once more.
    kept = 2 * shape.bytes + 2 * shape.bytes
    return Line(
        "text_retriever",
        f"{data.pairs:,} pairs, {work.steps:,} steps, {work.tokens / 1e6:,.1f} M tokens, "
        f"{checkpoints:,} checkpoints of {work.checkpoint_bytes / GB:.2f} GB"
        + (f", gradient cache in chunks of {chunk:,} tokens" if cached else ""),
        training + scoring,
        memory=PROCESS_GB * GB + kept + (0 if on_gpu else learning),
        gpu_memory=learning if on_gpu else 0.0,
        disk=shape.bytes,
        # The next checkpoint stands before the last one goes; a new model beside the old one.
        passing_disk=max(2 * work.checkpoint_bytes if checkpoints else 0, shape.bytes),
        written=checkpoints * work.checkpoint_bytes + shape.bytes,
    )


def embeddings(
    data: DataAtHand,
    settings: Settings,
    shape: Shape,
    rates: Rates,
    last: Mapping[str, str] = MappingProxyType({}),
) -> Line:
    """Return the line of the item vectors before and after fine-tuning.

    Args:
        data: the items and their tokens.
        settings: the encoder's.
        shape: of the encoder.
        rates: with that of int8 where a run may take it, which recall decides.
        last: what the last run here took after it had measured recall, by the name of the asset.
            Where that is not known the hours are those without int8.
    """
    vectors = 4.0 * data.items * shape.width
    on_gpu = rates.device != "cpu"
    tokens = data.items * data.item_tokens
    usual, fast = tokens / rates.encode, tokens / (rates.int8 or rates.encode)
    taken = [last.get(name) for name in EMBEDDINGS]
    seconds = sum(fast if precision == "int8" else usual for precision in taken)
    said = ""
    if rates.int8:
        said = f"; {' and '.join(dict.fromkeys(p for p in taken if p))} by the last run's recall"
        if None in taken:
            said = f"; {2 * fast / 3600:.3f} hours in int8, where recall allows it"
    # Recall is measured against float32, whose layers are packed; both copies stay.
    copies = 5 * shape.blocks if rates.int8 else 0
    batch = settings.encoder.tokens_at_once(on_gpu=on_gpu) * shape.width * 4 * 8
    return Line(
        ", ".join(EMBEDDINGS),
        f"2 × {data.items:,} items, {2 * tokens / 1e6:,.1f} M tokens{said}",
        seconds,
        memory=PROCESS_GB * GB + 2 * vectors + (0 if on_gpu else shape.bytes + copies + batch),
        gpu_memory=shape.bytes + batch if on_gpu else 0.0,
        disk=2 * 2 * vectors,  # the artifact, and the rows that a next run takes again
        written=2 * 2 * vectors,
    )


def text_index(data: DataAtHand, shape: Shape, seconds: float | None) -> Line:
    """Return the line of the index over the item embeddings."""
    vectors = 4.0 * data.items * shape.width
    return Line(
        "text_index", f"{data.items:,} × {shape.width}", seconds,
        memory=PROCESS_GB * GB + 3 * vectors, disk=1.5 * vectors, passing_disk=1.5 * vectors,
        written=1.5 * vectors,
    )  # fmt: skip


def item_tower(
    data: DataAtHand, settings: Settings, shape: Shape, rates: Rates, step: float
) -> Line:
    """Return the line of the item tower: its steps, and its title encoder, trained along or frozen.

    Args:
        data: the items and their titles' tokens.
        settings: the tower's.
        shape, rates: of the title encoder.
        step: seconds of one of the tower's own steps.
    """
    from beauty_rec.towers.items.train import steps_of_epoch

    tower = settings.item_tower
    steps = tower.epochs * steps_of_epoch(data.items, tower)
    rows = min(tower.batch_size, data.items)
    tokens = data.title_tokens * (2 * steps * rows if tower.train_title_encoder else data.titles)
    seconds = tokens / rates.encode + steps * step
    learning = float(shape.bytes)
    if tower.train_title_encoder:
        seconds = tokens / rates.train + steps * (rates.update + step)
        learning = 4 * shape.bytes + 2 * rows * data.title_tokens * rates.activation_bytes
    else:
        learning += 4.0 * data.titles * data.title_tokens * shape.width
    on_gpu = rates.device != "cpu" and tower.train_title_encoder
    trained = shape.bytes if tower.train_title_encoder else 0
    return Line(
        "item_tower",
        f"{steps:,} steps, {tokens / 1e6:,.1f} M title tokens",
        seconds,
        memory=PROCESS_GB * GB + trained + (0 if on_gpu else learning),
        gpu_memory=learning if on_gpu else 0.0,
        disk=trained,
        passing_disk=2 * 3 * trained,
        written=tower.epochs * 3 * trained,
    )


def language_model(data: DataAtHand, settings: Settings, tokens_per_second: float | None) -> Line:
    """Return the line of the language model's reading, at the rate of the last one here."""
    from beauty_rec.language.prompt import load_prompt

    def prompt_tokens(package: str, name: str, **values: str) -> float:
        prompt = load_prompt(package, name, **values)
        examples = sum(len(str(e.input)) + len(str(e.answer)) for e in prompt.examples)
        return (len(prompt.instructions) + examples) / 4

    keywords = prompt_tokens("beauty_rec.keywords", "keywords")
    attributes = prompt_tokens("beauty_rec.items", "attributes", std="", re="", max_values="6")
    answer = 60
    questions = data.reviews + data.described_items
    tokens = data.reviews * (keywords + data.review_chars / 4 + answer)
    tokens += data.described_items * (attributes + data.item_chars / 4 + answer)
    return Line(
        "keywords, item_attributes (language model)",
        f"{questions:,} questions, {tokens / 1e6:,.1f} M tokens"
        + ("" if tokens_per_second else "; no rate until a reading has been here"),
        tokens / tokens_per_second if tokens_per_second else None,
        disk=300.0 * questions,
        written=300.0 * questions,
    )


def tables(data: DataAtHand) -> list[Line]:
    """Return the lines of the stages that were timed on a sample of the items."""
    memory = PROCESS_GB * GB + 6.0 * data.parquet_bytes
    lines = [Line(name, "", seconds, memory=memory) for name, seconds in data.seconds.items()]
    rows = f"{data.reviews:,} reviews, {data.items:,} items"
    lines[0] = replace(
        lines[0], work=rows, disk=2.5 * data.parquet_bytes, written=2.5 * data.parquet_bytes
    )
    return lines
