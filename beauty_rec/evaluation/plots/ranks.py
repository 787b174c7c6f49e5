"""Plots of ranks: Recall@k curves and the histogram of ranks, as PNG bytes."""

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from beauty_rec.evaluation.block import Block
from beauty_rec.evaluation.plots.canvas import look_of, new_figure, styled, to_png
from beauty_rec.measures.metrics import RECALL_CUTS
from beauty_rec.search.ranks import Ranks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@styled
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
    figure, axes = new_figure(max(1, len(shown)), title, note, width=5.2)
    for axis, (split, section) in zip(axes, shown.items(), strict=False):
        for method, block in section.items():
            values = [block[f"recall@{k}"] for k in RECALL_CUTS]
            ends = [block["intervals"][f"recall@{k}"] or (np.nan, np.nan) for k in RECALL_CUTS]
            low, high = zip(*ends, strict=True)
            look = look_of(method, list(section))
            axis.fill_between(RECALL_CUTS, low, high, color=look["color"], alpha=0.13, linewidth=0)
            axis.plot(RECALL_CUTS, values, markersize=5, **look)
        queries = next(iter(section.values()))["queries"]
        axis.set_title(f"{split} ({queries:,} queries)")
        axis.set_xscale("log")
        axis.set_xticks(RECALL_CUTS, [str(k) for k in RECALL_CUTS])
        axis.minorticks_off()
        axis.set_xlabel("k (length of the list)")
    axes[0].set_ylabel("Recall@k (share of queries, 95% band)")
    top = max((axis.get_ylim()[1] for axis in axes), default=1.0)
    for axis, section in zip(axes, shown.values(), strict=False):
        axis.set_ylim(0, min(1.02, top))
        _label_ends(
            axis,
            {m: (b["recall@100"], look_of(m, list(section))["color"]) for m, b in section.items()},
        )
    return to_png(figure)


@styled
def rank_histogram(
    ranks: Mapping[str, Ranks],
    answer_set_size: int,
    *,
    title: str,
    answerable: NDArray[np.bool_] | None = None,
    note: str = "",
) -> bytes:
    """Plot how many answers stand at which rank, in bins of half a decade.

    Args:
        ranks: by method, on the same queries.
        answer_set_size: the last rank. Ranks that were measured among more items, before some
            left the catalogue, are shown among as many as they reach.
        title: of the figure.
        answerable: the queries to show, bool ``[Q]``; the others, whose answer no method can
            score, would fill the last bin and hide the rest.
        note: small print.
    """
    figure, axes = new_figure(1, title, note, width=8)
    axis = axes[0]
    for found in ranks.values():
        reached = found[np.isfinite(found)].max(initial=0.0)
        answer_set_size = max(answer_set_size, int(np.ceil(reached)))
    halves = np.floor(10 ** np.arange(0, 0.5 * 14, 0.5) + 1e-9)
    edges = np.append(halves[halves < answer_set_size], answer_set_size)
    names = ["1"] + [
        f"{low + 1:,.0f}–{high:,.0f}" if low + 1 < high else f"{high:,.0f}"
        for low, high in itertools.pairwise(edges)
    ]
    width = 0.8 / max(len(ranks), 1)
    total = shown = 0
    for place, (method, of_method) in enumerate(ranks.items()):
        kept = of_method if answerable is None else of_method[answerable]
        total, shown = len(of_method), len(kept)
        # A mean rank of ties between two bins counts to the later one.
        bins = np.searchsorted(edges, kept, side="left")
        share = np.bincount(bins, minlength=len(names)) / max(shown, 1)
        at = np.arange(len(names)) + (place - (len(ranks) - 1) / 2) * width
        axis.bar(
            at, 100 * share, 0.92 * width, color=look_of(method, list(ranks))["color"], label=method
        )
    cut = int(np.searchsorted(edges, 100, side="right"))
    if cut < len(names):
        axis.axvline(cut - 0.5, color="#666666", linewidth=1, linestyle=(0, (4, 3)))
    count = f"{shown:,} queries"
    if answerable is not None:
        count += f"; the other {total - shown:,} of {total:,} have an answer without any text"
    axis.set_title(count, fontsize=10)
    axis.set_xticks(range(len(names)), names)
    axis.grid(visible=False, axis="x")
    axis.set_xlabel(f"rank of the answer among {answer_set_size:,} items (dashed: 100)")
    axis.set_ylabel("queries in the bin (%)")
    axis.legend(frameon=False)
    return to_png(figure)


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
