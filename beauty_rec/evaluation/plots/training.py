"""Plots of a trained model: its loss curve and its calibration, as PNG bytes."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from beauty_rec.evaluation.plots.canvas import COLOURS, new_figure, styled, to_png
from beauty_rec.measures.intervals import wilson_interval

_GREYS = ("#000000", "#6E6E6E", "#A9A9A9")


@styled
def loss_curve(
    steps: Sequence[int],
    losses: Sequence[float],
    *,
    evaluations: Sequence[tuple[int, float]] = (),
    metric: str = "valid Recall@100",
    title: str = "Fine-tuning",
    note: str = "",
) -> bytes:
    """Plot the training loss by step, smoothed and raw, and below it the valid metric if given."""
    figure, axes = new_figure(1, title, note, rows=2 if evaluations else 1, width=7)
    axis = axes[0]
    values = np.asarray(losses, dtype=np.float64)
    axis.plot(steps, values, color="#A9A9A9", linewidth=0.9, label="each step")
    if len(values) >= 10:
        axis.plot(steps, _smooth(values), color=COLOURS[0], label="moving average")
        axis.legend(frameon=False)
    axis.set_ylabel("training loss (nats)")
    axis.set_ylim(bottom=0)
    if evaluations:
        axes[1].sharex(axis)
        axis.tick_params(labelbottom=False)
        at, reached = zip(*evaluations, strict=True)
        best = int(np.argmax(reached))
        axes[1].plot(at, reached, color=COLOURS[1], marker="s", markersize=5)
        axes[1].annotate(
            f"best {reached[best]:.4f}",
            (at[best], reached[best]),
            xytext=(0, 8),
            textcoords="offset points",
            ha="center",
        )
        axes[1].margins(y=0.25)
        axes[1].set_ylabel(metric)
    axes[-1].set_xlabel("optimiser step")
    return to_png(figure)


@styled
def calibration_plot(
    labels: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    *,
    bins: int = 10,
    title: str = "Calibration",
    note: str = "",
) -> bytes:
    """Plot the observed share of positives against the predicted one, in bins of equal count."""
    figure, axes = new_figure(1, title, note, width=5.5, height=5)
    axis = axes[0]
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    predicted = [float(probabilities[part].mean()) for part in parts]
    observed = [float(labels[part].mean()) for part in parts]
    limits = [wilson_interval(labels[part].sum(), len(part)) for part in parts]
    errors = [
        [o - low for o, (low, _) in zip(observed, limits, strict=True)],
        [high - o for o, (_, high) in zip(observed, limits, strict=True)],
    ]
    top = 1.08 * max([*predicted, *(high for _, high in limits), 1e-6])
    axis.plot([0, top], [0, top], color="#666666", linewidth=1, linestyle=(0, (4, 3)))
    axis.errorbar(
        predicted,
        observed,
        yerr=np.maximum(errors, 0),
        color=COLOURS[0],
        marker="o",
        markersize=5,
        capsize=3,
        elinewidth=1,
    )
    axis.annotate(
        "perfect",
        (0.6 * top, 0.6 * top),
        xytext=(-8, 4),
        textcoords="offset points",
        ha="right",
        va="bottom",
        color="#666666",
        fontsize=9,
    )
    axis.set_xlim(0, top)
    axis.set_ylim(0, top)
    axis.set_xlabel("predicted probability (mean of the bin)")
    axis.set_ylabel("share of positives (95% interval)")
    return to_png(figure)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a centred moving average over a twentieth of the steps, shorter at the ends."""
    half = max(2, len(values) // 40)
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    found: NDArray[np.float64] = (total[high] - total[low]) / (high - low)
    return found


@styled
def epoch_curves(
    epochs: Sequence[Mapping[str, float | None]],
    names: Sequence[str],
    *,
    title: str,
    references: Mapping[str, Mapping[str, float]] | None = None,
) -> bytes:
    """Plot figures by epoch, one panel a name, side by side, each on its own scale.

    Args:
        epochs: one row of figures an epoch; a missing or empty one is left out.
        names: the figures to show.
        title: of the whole plot.
        references: name → the same figures of something else: a dashed line each.
    """
    figure, axes = new_figure(len(names), title, "", width=3.4, height=3.0)
    for number, (axis, name) in enumerate(zip(axes, names, strict=True)):
        known = [
            (at, value)
            for at, row in enumerate(epochs, 1)
            if (value := row.get(name)) is not None and np.isfinite(value)
        ]
        axis.plot(
            [at for at, _ in known],
            [value for _, value in known],
            color=COLOURS[number % len(COLOURS)],
            marker="o",
            markersize=4,
        )
        for other, (reference, figures) in enumerate((references or {}).items()):
            if np.isfinite(level := figures.get(name, np.nan)):
                axis.axhline(
                    level,
                    color=_GREYS[other % len(_GREYS)],
                    linewidth=1.2,
                    linestyle=(0, (5 - other % 4, 1 + other)),
                    label=reference.replace("_", " "),
                )
        if axis.get_legend_handles_labels()[1]:
            axis.legend(frameon=False, fontsize=7)
        axis.set_title(name.replace("_", " "))
        axis.set_xlabel("epoch")
        axis.set_xticks(range(1, len(epochs) + 1, max(1, len(epochs) // 6)))
    return to_png(figure)


@styled
def step_curves(
    kinds: Mapping[str, Sequence[Sequence[Mapping[str, float]]]],
    names: Sequence[str],
    *,
    title: str,
) -> bytes:
    """Plot figures against optimiser steps, one panel a name: runs faint, their median strong.

    Args:
        kinds: name → histories of trainings, one a seed; a row of figures has its ``steps``.
        names: the figures to show.
        title: of the whole plot.
    """
    figure, axes = new_figure(len(names), title, "", width=4.4, height=3.2)
    for axis, name in zip(axes, names, strict=True):
        for colour, (kind, runs) in zip(COLOURS, kinds.items(), strict=False):
            for run in runs:
                at = [row["steps"] for row in run]
                axis.plot(at, [row[name] for row in run], color=colour, alpha=0.25, linewidth=0.9)
            steps = np.median([[row["steps"] for row in run] for run in runs], axis=0)
            middle = np.median([[row[name] for row in run] for run in runs], axis=0)
            axis.plot(steps, middle, color=colour, marker="o", markersize=4, label=kind)
        axis.set_title(name.replace("_", " "))
        axis.set_xlabel("optimiser step")
    axes[0].legend(frameon=False, fontsize=8)
    return to_png(figure)


@styled
def bars(values: Mapping[str, float], *, title: str, unit: str) -> bytes:
    """Plot one horizontal bar a name, largest first as given, with its value at the end."""
    figure, axes = new_figure(1, title, "", width=6.5, height=1.2 + 0.28 * max(1, len(values)))
    axis = axes[0]
    names = list(values)[::-1]
    drawn = axis.barh(names, [values[name] for name in names], color=COLOURS[0], height=0.7)
    axis.bar_label(drawn, fmt="%.3g", padding=3, fontsize=8)
    axis.set_xlabel(unit)
    axis.grid(axis="y", visible=False)
    axis.margins(x=0.12)
    return to_png(figure)
