"""Plots of a trained model: its loss curve and its calibration, as PNG bytes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from beauty_rec.evaluation.canvas import COLOURS, new_figure, styled, to_png
from beauty_rec.evaluation.intervals import wilson_interval


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
    return (total[high] - total[low]) / (high - low)
