"""The plan: the data counted, the models' layers timed, the stages reckoned from both."""

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from beauty_rec.artifacts import existing
from beauty_rec.cli.inputs import report_path
from beauty_rec.cli.plan import stages
from beauty_rec.cli.plan.data import DataAtHand, look
from beauty_rec.cli.plan.rates import Rates, measured, tower_step
from beauty_rec.cli.plan.shapes import Shape, shape_of, tokens_of
from beauty_rec.evaluation.report.document import read_report
from beauty_rec.settings import Settings

REMAINING = (
    "item_vectors", "past_items", "lexical_index", "item_index", "retrieval_candidates",
    "user_tower", "user_candidates", "reranker", "recommendations", "ranking_metrics",
)  # fmt: skip
"""Stages whose seconds are those of the last run in the data folder, by the number of reviews."""


@dataclass(frozen=True)
class LastRun:
    """What stages took in the last run of a data folder.

    Attributes:
        cost: seconds by asset; empty without a run.
        scale: of the rows of now to those of then.
        said: which run that was.
    """

    cost: Mapping[str, float]
    scale: float
    said: str

    @classmethod
    def of(cls, path: Path, reviews: int) -> "LastRun":
        """Return the last run, of which the report in a file tells, for as many reviews."""
        if not path.is_file():
            return cls({}, 1.0, "no rate until a run has been in this data folder")
        cost: Counter[str] = Counter()
        try:
            report = read_report(path)
            then = int(report["dataset"]["reviews"])
            for row in report["cost"]:
                cost[row["asset"]] += row["seconds"] or 0
        except (LookupError, TypeError, ValueError):
            return cls({}, 1.0, f"no rate: {path} is damaged, or of an older version")
        scale = reviews / max(1, then)
        return cls(cost, scale, f"the last run here ({then:,} reviews) × {scale:.2g}")

    def seconds(self, *assets: str) -> float | None:
        """Return what these take now; None where none was measured."""
        known = [self.cost[name] for name in assets if name in self.cost]
        return sum(known) * self.scale if known else None


@dataclass(frozen=True)
class Machine:
    """What the run has: bytes."""

    memory: int
    free_disk: int
    gpu: str | None
    gpu_memory: int


@dataclass(frozen=True)
class Plan:
    """Everything that :func:`plan_lines` shows."""

    settings: Settings
    machine: Machine
    data: DataAtHand
    encoder: Shape
    titles: Shape
    encoder_rates: Rates
    tuning_rates: Rates
    lines: list[stages.Line]

    @property
    def seconds(self) -> float:
        """Of all lines with a rate."""
        return sum(line.seconds or 0.0 for line in self.lines)

    @property
    def disk(self) -> float:
        """Bytes that must be free: what stays, and the most that one stage needs on its way."""
        stays = sum(line.disk for line in self.lines)
        return stays + max(line.passing_disk for line in self.lines)


def make_plan(settings: Settings) -> Plan:
    """Return the plan of a run with these settings on this machine; nothing is written.

    Raises:
        CorpusFileError, SplitError: the input cannot be read or split.
        EncoderUnavailable: nothing is known of a model that the settings name.
    """
    import torch

    from beauty_rec.retriever.encoding.kept_recall import WORTHWHILE
    from beauty_rec.retriever.encoding.precision import may_quantize, reduced_precision

    encoder = shape_of(settings.encoder.model)
    titles = shape_of(settings.item_tower.title_encoder)
    data = look(settings, tokens_of(encoder))
    wanted = settings.gpu.device if settings.encoder.device == "auto" else settings.encoder.device
    cuda = torch.cuda.is_available() and not wanted.startswith("cpu")
    device = "cuda" if cuda else "cpu"
    asked = settings.gpu.precision
    asked = settings.encoder.precision if asked == "auto" else asked
    reduced = reduced_precision(asked, torch.device(device)) or torch.float32
    precision = str(reduced).removeprefix("torch.")
    texts = (data.query_tokens + data.positive_tokens) / 2 or data.item_tokens
    int8 = data.items >= WORTHWHILE and may_quantize(asked, torch.device(device))
    for_items = measured(encoder, device, data.item_tokens, precision, int8=int8)
    for_pairs = measured(encoder, device, texts, precision)
    own = settings.item_tower
    along = own.train_title_encoder and not cuda  # a CPU trains in float32
    read_in = "float32" if along else precision
    for_titles = measured(titles, device, max(8.0, data.title_tokens), read_in)
    step = tower_step(own, titles.width, data.title_tokens, device, settings.encoder.precision)
    lines, last = stages.tables(data), LastRun.of(report_path(settings), data.reviews)
    machine = _machine(settings.data_dir, cuda=cuda)
    if settings.llm.backend == "openai":
        lines = [line for line in lines if line.asset != "keywords (rules)"]
        from beauty_rec.orchestration.storage.records import language_rate

        reading = stages.language_model(data, settings, language_rate(settings.data_dir))
        lines.insert(1, reading)
    lines += [
        stages.embeddings(data, settings, encoder, for_items, _last_precisions(settings.data_dir)),
        stages.text_retriever(data, settings, encoder, for_pairs, machine.gpu_memory),
        stages.item_tower(data, settings, titles, for_titles, step),
        stages.text_index(data, encoder, last.seconds("text_index")),
        stages.Line(", ".join(REMAINING), last.said, last.seconds(*REMAINING)),
    ]
    return Plan(settings, machine, data, encoder, titles, for_items, for_pairs, lines)


def _last_precisions(data_dir: Path) -> dict[str, str]:
    """Return what the last run encoded items in, of the assets that then measured int8's recall."""
    from beauty_rec.orchestration.storage.records import last_facts

    facts = {name: last_facts(data_dir, name) for name in stages.EMBEDDINGS}
    return {name: own["precision"] for name, own in facts.items() if "recall@10_int8" in own}


def _machine(data_dir: Path, *, cuda: bool) -> Machine:
    import psutil
    import torch

    free = shutil.disk_usage(existing(data_dir)).free
    memory = psutil.virtual_memory().total
    if not cuda:
        return Machine(memory, free, None, 0)
    found = torch.cuda.get_device_properties(0)
    return Machine(memory, free, found.name, int(found.total_memory))
