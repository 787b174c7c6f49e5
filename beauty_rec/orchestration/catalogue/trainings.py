"""A training in the catalogue: figures over time, curves and a model card."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import BaseModel

from beauty_rec.orchestration.catalogue.markdown import image_markdown
from beauty_rec.settings import UserTowerSettings

if TYPE_CHECKING:
    from beauty_rec.ranking.transfer import TransferTrial
    from beauty_rec.retriever.model_card import TrainingLog

Epochs = Sequence[Mapping[str, float | None]]


def training_metadata(log: "TrainingLog") -> dict[str, Any]:
    """Return the figures and the loss curve of a fine-tuning of the text retriever."""
    from beauty_rec.evaluation.plots.training import loss_curve

    found: dict[str, Any] = {}
    if log.losses:
        plot = loss_curve(
            range(1, len(log.losses) + 1),
            log.losses,
            evaluations=log.evaluations,
            title="Fine-tuning the text retriever",
        )
        found |= {
            "loss": float(log.losses[-1]),
            "loss_curve": dg.MetadataValue.md(image_markdown("Loss", plot)),
        }
    if log.evaluations:
        # Rounded: the rest of a score tells equal recalls apart.
        found["valid recall@100"] = round(max(score for _, score in log.evaluations), 5)
        found["valid recall@100 untuned"] = round(log.evaluations[0][1], 5)
    return found


def epochs_metadata(
    name: str,
    epochs: Epochs,
    shown: Sequence[str],
    hyper_parameters: BaseModel,
    references: Mapping[str, Mapping[str, float]] | None = None,
    **facts: Any,
) -> dict[str, Any]:
    """Return the last epoch's figures, their curves and a model card.

    Args:
        name: of the model, in words.
        epochs: one row of figures an epoch.
        shown: the figures to draw, in this order; those that no epoch has are left out.
        hyper_parameters: the settings that it was trained with.
        references: name → the same figures of something else, drawn beside the curves and put
            into the metadata as "figure of name".
        facts: sizes and counts; metadata of their own, and lines of the card.
    """
    from beauty_rec.evaluation.plots.training import epoch_curves

    last = {k: float(v) for k, v in (epochs[-1] if epochs else {}).items() if v is not None}
    drawn = [figure for figure in shown if any(row.get(figure) is not None for row in epochs)]
    facts |= {
        f"{figure} of {reference.replace('_', ' ')}": float(value)
        for reference, figures in (references or {}).items()
        for figure, value in figures.items()
        if figure in shown
    }
    found: dict[str, Any] = {**last, "epochs": len(epochs), **facts}
    last.pop("epoch", None)
    found.pop("epoch", None)
    if drawn:
        plot = epoch_curves(epochs, drawn, title=name, references=references)
        found["training"] = dg.MetadataValue.md(image_markdown("Training", plot))
    found["model_card"] = dg.MetadataValue.md(model_card(name, epochs, hyper_parameters, facts))
    return found


def user_tower_metadata(log: Mapping[str, Any], settings: UserTowerSettings) -> dict[str, Any]:
    """Return what :func:`epochs_metadata` says of the log of a user tower's training."""
    recall = f"recall@{settings.candidates}"
    figures: dict[str, Any] = {name: log[name] for name in ("parameters", "train_events")}
    figures |= {"best_epoch": log["best_epoch"], "columns": ", ".join(log["columns"])}
    for name in ("text_weight", "past_weight", "past_text_weight", "newcomer_weight"):
        figures[name] = float(log[name])
    if log["valid_recall"] is not None:
        figures[f"valid {recall}"] = float(log["valid_recall"])
    shown = ("loss", f"valid_{recall}")
    return epochs_metadata("User tower", log["epochs"], shown, settings, **figures)


def transfer_metadata(trial: "TransferTrial | None") -> dict[str, Any]:
    """Return the curves of trainings with and without transfer, and what they support."""
    from beauty_rec.evaluation.plots.training import step_curves

    if trial is None:
        return {}
    kinds = {"with transfer": trial.transferred, "without": trial.plain}
    plot = step_curves(kinds, ("valid_log_loss", "valid_ndcg@10"), title="Weight transfer")
    without, steps = trial.steps()
    return {
        "transfer": trial.sentence(),
        "transfer_helps": trial.helps,
        "transfer_curves": dg.MetadataValue.md(image_markdown("Weight transfer", plot)),
        "steps to the untransferred best": float(without),
        **({} if steps is None else {"steps to it with transfer": float(steps)}),
    }


def model_card(
    name: str, epochs: Epochs, hyper_parameters: BaseModel, facts: Mapping[str, Any]
) -> str:
    """Return a model card in Markdown: what it is, how it was trained, what came of it."""
    lines = [f"## {name}", "", "| | |", "|:--|--:|"]
    lines += [f"| {key.replace('_', ' ')} | {_cell(value)} |" for key, value in facts.items()]
    if epochs:
        columns = [column for column in epochs[-1] if column != "epoch"]
        lines += ["", "### Epochs", "", "| epoch | " + " | ".join(columns) + " |"]
        lines += ["|--:" * (len(columns) + 1) + "|"]
        lines += [
            f"| {number} | " + " | ".join(_cell(row.get(column)) for column in columns) + " |"
            for number, row in enumerate(epochs, 1)
        ]
    lines += ["", "### Hyper-parameters", "", "| | | |", "|:--|--:|:--|"]
    for key, value in hyper_parameters:
        meaning = type(hyper_parameters).model_fields[key].description or ""
        lines.append(f"| `{key}` | {_cell(value)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
