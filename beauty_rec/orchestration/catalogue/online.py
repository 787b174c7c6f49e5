"""What people did with what they were shown, in the catalogue: figures, tables and plots."""

from typing import Any

import dagster as dg
import polars as pl

from beauty_rec.orchestration.catalogue.markdown import image_markdown, markdown_table

TABLE = (
    "value", "shown", "ctr", "ctr_low", "ctr_high", "conversion", "coverage", "debiased_ctr",
    "effective",
)  # fmt: skip
MORE = {
    "position": ("propensity",),
    "experiment": ("greedy_ctr", "difference", "difference_low", "difference_high", "p"),
}
"""Columns that tables of these dimensions have, too."""


def online_metadata(rates: pl.DataFrame) -> dict[str, Any]:
    """Return a figure each of every kind of answer, tables by what was shown, and plots over days.

    Args:
        rates: of :func:`beauty_rec.evaluation.online.rates.online_rates`.
    """
    if rates.is_empty():
        return {"shown": 0, "note": "no answer was shown yet, or none is kept (serve.impressions)"}
    from beauty_rec.evaluation.plots.online import days_plot, positions_plot

    found: dict[str, Any] = {}
    whole = rates.filter(pl.col("day").is_null())
    for row in whole.filter(dimension="all").iter_rows(named=True):
        for figure in ("shown", "ctr", "conversion", "coverage", "debiased_ctr"):
            if row[figure] is not None:
                found[f"{row['kind']} {figure}"] = float(row[figure])
    for (kind, dimension), part in whole.group_by("kind", "dimension", maintain_order=True):
        if dimension != "all":
            columns = [*TABLE, *MORE.get(str(dimension), ())]
            table = markdown_table(part.select(columns))
            found[f"{kind} by {dimension}"] = dg.MetadataValue.md(table)
    for kind in whole["kind"].unique(maintain_order=True):
        own = rates.filter(kind=kind)
        for title, png in (
            (f"{kind}: rates by day", days_plot(own, title=f"{kind}: rates by day")),
            (f"{kind}: positions", positions_plot(own, title=f"{kind}: positions")),
        ):
            found[title] = dg.MetadataValue.md(image_markdown(title, png))
    return found
