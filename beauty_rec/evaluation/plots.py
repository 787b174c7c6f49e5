"""Plots of the report as PNG bytes; matplotlib is imported inside, and never opens a window.

Colours are those of Okabe and Ito (Color Universal Design, 2008), told apart by people with any
common colour vision; a method also keeps its own marker and its label beside the line.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
from numpy.typing import NDArray

from beauty_rec.evaluation.block import Block
from beauty_rec.evaluation.intervals import wilson_interval
from beauty_rec.evaluation.metrics import RECALL_CUTS
from beauty_rec.evaluation.ranks import Ranks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_FIXED = {
    "popularity": 6,
    "bm25": 4,
    "base_encoder": 5,
    "text_retriever": 0,
    "item_cf": 4,
    "user_tower": 2,
    "reranked": 1,
    "recent_popularity": 3,
    "context_popularity": 5,
}
_STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
}


def _styled(draw: Callable[P, bytes]) -> Callable[P, bytes]:
    """Run ``draw`` with the style of this page, and leave matplotlib's own as it was."""

    @wraps(draw)
    def with_style(*args: P.args, **kwargs: P.kwargs) -> bytes:
        import matplotlib

        with matplotlib.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return with_style


@_styled
def recall_curves(
    sections: Mapping[str, Mapping[str, Block]], *, title: str, note: str = ""
) -> bytes:
    """Plot Recall@k by method with 95% bands, one panel per split.

    Args:
        sections: blocks by split, then by method; empty blocks are left out.
        title: of the figure.
        note: small print (``synthetic sample``).
    """
    shown = {
        split: {method: block for method, block in section.items() if block.get("queries")}
        for split, section in sections.items()
    }
    shown = {split: section for split, section in shown.items() if section}
    figure, axes = _figure(max(1, len(shown)), title, note, width=5.2)
    for axis, (split, section) in zip(axes, shown.items(), strict=False):
        for method, block in section.items():
            values = [block[f"recall@{k}"] for k in RECALL_CUTS]
            low, high = zip(*(block["intervals"][f"recall@{k}"] for k in RECALL_CUTS), strict=True)
            look = _look(method, list(section))
            axis.fill_between(RECALL_CUTS, low, high, color=look["color"], alpha=0.13, linewidth=0)
            axis.plot(RECALL_CUTS, values, markersize=5, **look)
        queries = next(iter(section.values()))["queries"]
        axis.set_title(f"{split} ({queries:,} queries)")
        axis.set_xscale("log")
        axis.set_xticks(RECALL_CUTS, [str(k) for k in RECALL_CUTS])
        axis.minorticks_off()
        axis.set_xlabel("k (length of the list)")
        axis.set_ylabel("Recall@k (share of queries answered)")
    top = max((axis.get_ylim()[1] for axis in axes), default=1.0)
    for axis, section in zip(axes, shown.values(), strict=False):
        axis.set_ylim(0, min(1.02, top))
        _label_ends(
            axis,
            {m: (b["recall@100"], _look(m, list(section))["color"]) for m, b in section.items()},
        )
    return _png(figure)


@_styled
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
    figure, axes = _figure(1, title, note, rows=2 if evaluations else 1, width=7)
    axis = axes[0]
    values = np.asarray(losses, dtype=np.float64)
    axis.plot(steps, values, color="#A9A9A9", linewidth=0.9, label="each step")
    if len(values) >= 10:
        axis.plot(steps, _smooth(values), color=_COLOURS[0], label="moving average")
        axis.legend(frameon=False)
    axis.set_ylabel("training loss (nats)")
    axis.set_ylim(bottom=0)
    if evaluations:
        axes[1].sharex(axis)
        axis.tick_params(labelbottom=False)
        at, reached = zip(*evaluations, strict=True)
        best = int(np.argmax(reached))
        axes[1].plot(at, reached, color=_COLOURS[1], marker="s", markersize=5)
        axes[1].annotate(
            f"best {reached[best]:.4f}",
            (at[best], reached[best]),
            xytext=(0, -14),
            textcoords="offset points",
            ha="center",
        )
        axes[1].margins(y=0.25)
        axes[1].set_ylabel(metric)
    axes[-1].set_xlabel("optimiser step")
    return _png(figure)


@_styled
def rank_histogram(
    ranks: Mapping[str, Ranks], answer_set_size: int, *, title: str, note: str = ""
) -> bytes:
    """Plot how many answers stand at which rank, bins of equal width on a log scale."""
    figure, axes = _figure(1, title, note, width=7)
    axis = axes[0]
    edges = np.geomspace(1, max(answer_set_size, 2) + 1, 25)
    # Whole ranks near 1 leave some bins of a log scale without any rank to hold.
    edges = np.unique(np.round(edges)) - 0.5
    for method, of_method in ranks.items():
        look = _look(method, list(ranks))
        share = np.histogram(of_method, edges)[0] / max(len(of_method), 1)
        axis.stairs(100 * share, edges, color=look["color"], linewidth=1.8, label=method)
    axis.axvline(100.5, color="#666666", linewidth=1, linestyle=(0, (4, 3)))
    axis.annotate(
        "rank 100",
        (100.5, 1),
        xycoords=("data", "axes fraction"),
        xytext=(4, -10),
        textcoords="offset points",
        color="#666666",
        fontsize=9,
    )
    axis.set_xscale("log")
    axis.set_xlim(edges[0], edges[-1])
    axis.set_xlabel(f"rank of the answer among {answer_set_size:,} items (log scale)")
    axis.set_ylabel("queries in the bin (%)")
    axis.legend(frameon=False, loc="upper left")
    return _png(figure)


@_styled
def calibration_plot(
    labels: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    *,
    bins: int = 10,
    title: str = "Calibration",
    note: str = "",
) -> bytes:
    """Plot the observed share of positives against the predicted one, in bins of equal count."""
    figure, axes = _figure(1, title, note, width=5.5, height=5)
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
        color=_COLOURS[0],
        marker="o",
        markersize=5,
        capsize=3,
        elinewidth=1,
    )
    axis.annotate(
        "perfect",
        (top, top),
        xytext=(-6, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        color="#666666",
        fontsize=9,
    )
    axis.set_xlim(0, top)
    axis.set_ylim(0, top)
    axis.set_xlabel("predicted probability (mean of the bin)")
    axis.set_ylabel("share of positives (95% interval)")
    return _png(figure)


def _figure(
    panels: int, title: str, note: str, *, rows: int = 1, width: float = 5.2, height: float = 4.2
) -> tuple["Figure", list["Axes"]]:
    from matplotlib.figure import Figure

    # A Figure of its own, without pyplot: nothing global to close, no backend to choose.
    figure = Figure(figsize=(width * panels, height * (1 + 0.6 * (rows - 1))), layout="constrained")
    grid = figure.subplots(rows, panels, squeeze=False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    if note:
        figure.text(0.995, 0.99, note, ha="right", va="top", fontsize=9, color="#B00020")
    return figure, list(grid.ravel())


def _png(figure: "Figure") -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130, facecolor="white")
    return picture.getvalue()


def _look(method: str, shown: Sequence[str]) -> dict[str, Any]:
    place = _FIXED.get(method, list(shown).index(method)) % len(_COLOURS)
    return {"color": _COLOURS[place], "marker": _MARKERS[place]}


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a centred moving average over a twentieth of the steps, shorter at the ends."""
    half = max(2, len(values) // 40)
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    return (total[high] - total[low]) / (high - low)


def _label_ends(axis: "Axes", ends: Mapping[str, tuple[float, str]]) -> None:
    """Write each label beside the end of its line, pushed apart where they would overlap."""
    low, high = axis.get_ylim()
    gap = 0.055 * (high - low)
    place = -np.inf
    for method, (value, colour) in sorted(ends.items(), key=lambda end: end[1][0]):
        place = max(value, place + gap)
        axis.annotate(
            method,
            (RECALL_CUTS[-1], place),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            annotation_clip=False,
            fontsize=9.5,
        )
