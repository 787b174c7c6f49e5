"""Plots of what people did with what they were shown, as PNG bytes."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.evaluation.plots.canvas import COLOURS, look_of, new_figure, styled, to_png

MOST_VERSIONS = 7
MOST_TICKS = 6
_RATES = (("ctr", "click-through rate"), ("conversion", "conversion"), ("coverage", "coverage"))


@styled
def days_plot(rates: pl.DataFrame, *, title: str, note: str = "") -> bytes:
    """Plot click-through, conversion (95% bands) and coverage over the days, a line a version.

    Args:
        rates: of one kind of answer, of :func:`beauty_rec.evaluation.online.rates.online_rates`;
            the latest seven versions are drawn.
        title: of the figure.
        note: small print.
    """
    figure, axes = new_figure(len(_RATES), title, note, width=4.2, height=3.4)
    of_days = rates.filter(pl.col("day").is_not_null(), dimension="version").sort("day")
    versions = of_days["value"].reverse().unique(maintain_order=True).head(MOST_VERSIONS).to_list()
    every = of_days["day"].unique().sort().to_list()
    ticks = every[:: 1 + len(every) // MOST_TICKS]
    for axis, (rate, name) in zip(axes, _RATES, strict=True):
        for version in versions:
            own = of_days.filter(value=version)
            look = look_of(version, versions)
            days = own["day"].to_list()
            if f"{rate}_low" in own.columns:
                low, high = _ends(own, rate)
                axis.fill_between(days, low, high, color=look["color"], alpha=0.13, linewidth=0)
            axis.plot(days, own[rate].to_list(), markersize=4, label=version[:8], **look)
        axis.set_title(name)
        axis.set_ylim(bottom=0)
        axis.set_xticks(ticks, [f"{day:%b %d}" for day in ticks])
    axes[0].legend(frameon=False, fontsize=8, title="version")
    return to_png(figure)


@styled
def positions_plot(rates: pl.DataFrame, *, title: str, note: str = "") -> bytes:
    """Plot by position the click-through rate, and how often it is looked at; see ``rates`` above.

    The second panel is empty where positions do not vary enough to tell.
    """
    figure, axes = new_figure(2, title, note, width=4.6, height=3.4)
    own = rates.filter(pl.col("day").is_null(), dimension="position")
    places, names = list(range(own.height)), own["value"].to_list()
    ctr = own["ctr"].to_list()
    low, high = _ends(own, "ctr")
    axes[0].fill_between(places, low, high, color=COLOURS[0], alpha=0.13, linewidth=0)
    axes[0].plot(places, ctr, color=COLOURS[0], marker="o", markersize=5, label="as clicked")
    axes[0].plot(
        places, own["debiased_ctr"].to_list(),
        color=COLOURS[1], marker="s", markersize=5, label="as if all stood first",
    )  # fmt: skip
    axes[0].legend(frameon=False, fontsize=8)
    axes[0].set_title("click-through rate")
    axes[1].plot(places, own["propensity"].to_list(), color=COLOURS[2], marker="^", markersize=5)
    axes[1].set_title("looked at, relative to the first")
    for axis in axes:
        axis.set_xticks(places, names)
        axis.set_xlabel("position")
        axis.set_ylim(bottom=0)
    return to_png(figure)


def _ends(rates: pl.DataFrame, rate: str) -> list[NDArray[np.float64]]:
    """Return the ends of a rate's intervals; NaN where there is none."""
    return [rates[f"{rate}_{end}"].cast(pl.Float64).to_numpy() for end in ("low", "high")]
