"""What a fine-tuning did: its log, and the model card beside the weights."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from beauty_rec.artifacts import write_text_atomic

LOG_FILE = "training_log.json"


@dataclass
class TrainingLog:
    """Step losses and evaluation scores of one fine-tuning.

    Attributes:
        pairs: training pairs.
        planned_steps: optimizer steps without early stopping.
        losses: of each step done, in order.
        evaluations: (steps done, score); step 0 is the untuned encoder.
        best_step: whose weights were saved; 0 means the untuned ones.
        left_out: pairs that no batch took, having too few others to stand beside.
        note: what the reader should know, e.g. why nothing was trained.
    """

    pairs: int
    planned_steps: int
    losses: list[float] = field(default_factory=list)
    evaluations: list[tuple[int, float]] = field(default_factory=list)
    best_step: int = 0
    left_out: int = 0
    note: str = ""

    def save(self, folder: Path) -> None:
        """Write ``training_log.json`` into ``folder``."""
        write_text_atomic(folder / LOG_FILE, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "TrainingLog":
        """Read what :meth:`save` wrote."""
        fields: dict[str, Any] = json.loads((folder / LOG_FILE).read_text(encoding="utf-8"))
        fields["evaluations"] = [(step, score) for step, score in fields["evaluations"]]
        return cls(**fields)


def pairs_digest(pairs: pl.DataFrame) -> str:
    """Return 16 hex digits that name the content of the pairs."""
    return rows_digest(pairs.select("query", "positive", "parent_asin", "review_id"))


def rows_digest(*frames: pl.DataFrame) -> str:
    """Return 16 hex digits that stand for the rows of frames, in their order."""
    digest = hashlib.sha256()
    for frame in frames:
        for row in frame.iter_rows():
            digest.update(repr(row).encode())
    return digest.hexdigest()[:16]


def model_card(
    base: str, pairs: pl.DataFrame, settings: dict[str, Any], log: TrainingLog, score_name: str
) -> str:
    """Return the README.md of a tuned encoder: no date and no path, so equal runs give equal cards.

    Args:
        base: name of the encoder that was tuned.
        pairs: training pairs.
        settings: hyper-parameters by name.
        log: what happened.
        score_name: of the evaluations, e.g. ``valid Recall@100``.
    """
    lines = [
        "---",
        "library_name: sentence-transformers",
        "pipeline_tag: sentence-similarity",
        "---",
        "# Text retriever",
        "",
        f"`{base}`, fine-tuned by beauty_rec to find an item from what a reviewer says of it.",
        *([f"\n**{log.note}**"] if log.note else []),
        "",
        "## Data",
        "",
        f"{len(pairs)} (query, item text) pairs of {pairs['parent_asin'].n_unique()} items, "
        f"content `{pairs_digest(pairs)}`. The text of an item never holds what the query's own "
        "review says (leave-one-out).",
        *([f"\n{log.left_out} of them stand in no batch."] if log.left_out else []),
        "",
        "## Settings",
        "",
        "| setting | value |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in settings.items()),
        "",
        "## Metrics",
        "",
        f"| step | {score_name} |",
        "|---|---|",
        *(
            f"| {step}{' (untuned)' if step == 0 else ''}{' **saved**' * (step == log.best_step)} "
            f"| {score:.4f} |"
            for step, score in log.evaluations
        ),
        "",
        f"{len(log.losses)} of {log.planned_steps} planned steps; the weights of step "
        f"{log.best_step} are saved.",
        "",
    ]
    return "\n".join(lines)
