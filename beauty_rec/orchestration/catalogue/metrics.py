"""Metrics in the catalogue: a figure each, so that the UI plots it over time and by split."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

if TYPE_CHECKING:
    from beauty_rec.recommender.orders import Orders

from beauty_rec.orchestration.catalogue.markdown import image_markdown

CUTS = (1, 5, 10, 20, 50, 100)
METRICS = (*(f"recall@{k}" for k in CUTS), "mrr", "ndcg@10")
HEADLINES = ("recall@100", "mrr", "ndcg@10")
JUDGED_BY = "ndcg@10"
"""What orders are chosen by, and what is served is held against others by."""
ORDER, PARTS, BASELINES = "served order", "served beside its parts", "served beside baselines"
"""Names of metadata, after the scenario; the checks read them."""
STAGES = {"retrieval": "text_retriever", "recommendation": "reranked"}


def metrics_metadata(section: Mapping[str, Mapping[str, Any]], title: str) -> dict[str, Any]:
    """Return a split's metrics by method: single figures, a table and a plot.

    Args:
        section: method → block of metrics with ``queries``, ``intervals`` and the metrics.
        title: of the plot.
    """
    from beauty_rec.evaluation.plots.training import bars

    found: dict[str, Any] = {}
    for method, block in section.items():
        known = {metric: block[metric] for metric in METRICS if block.get(metric) is not None}
        found |= {f"{method} {metric}": float(value) for metric, value in known.items()}
    queries = max((block.get("queries", 0) for block in section.values()), default=0)
    measured = {m: b for m, b in section.items() if b.get("recall@100") is not None}
    if measured:
        values = {m: float(b["recall@100"]) for m, b in measured.items()}
        ordered = dict(sorted(values.items(), key=lambda pair: -pair[1]))
        plot = bars(ordered, title=title, unit="Recall@100")
        found["comparison"] = dg.MetadataValue.md(image_markdown("Recall@100", plot))
        found["table"] = dg.MetadataValue.md(_table(measured))
    return {"queries": queries, **found}


def answer_metadata(
    answer: Mapping[str, Mapping[str, Mapping[str, Any]]], split: str
) -> dict[str, Any]:
    """Return the figures of what is served and of its parts, by scenario, with a table of each.

    What is served beside each of them stands there, too, as the checks read it.
    """
    from beauty_rec.evaluation.report import document

    found: dict[str, Any] = {}
    for scenario, section in answer.items():
        beside = _served_beside(section)
        plain = {name: test for name, test in beside.items() if name in document.BASELINES}
        parts = {name: test for name, test in beside.items() if name not in plain}
        found |= {
            f"{scenario} {name}": dg.MetadataValue.json(tests)
            for name, tests in ((PARTS, parts), (BASELINES, plain))
            if tests
        }
        for method, block in section.items():
            for metric in HEADLINES:
                if block.get(metric) is not None:
                    found[f"{scenario} {method} {metric}"] = float(block[metric])
        measured = {m: b for m, b in section.items() if b.get("recall@100") is not None}
        if measured:
            found[f"answer {scenario}, {split}"] = dg.MetadataValue.md(_table(measured))
    return found


def _served_beside(section: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return what is served beside each other method of a section: both figures and p."""
    served = section.get("served") or {}
    return {
        name: {
            "served": float(served[JUDGED_BY]),
            "other": float(section[name][JUDGED_BY]),
            "p": float(tests[JUDGED_BY]["p"]),
        }
        for name, tests in (served.get("versus") or {}).items()
        if tests.get(JUDGED_BY) and section.get(name)
    }


def served_orders(recommendations: pl.DataFrame) -> dict[str, str]:
    """Return which orders made the lists of each scenario."""
    orders = recommendations.group_by("scenario").agg(pl.col("order").unique().sort())
    return {f"{scenario} {ORDER}": ", ".join(names) for scenario, names in orders.iter_rows()}


def orders_metadata(orders: "Orders") -> dict[str, Any]:
    """Return which order is served for each kind of ask, and why, with all weights."""
    lines = ["| ask | served | why | weights |", "|:--|:--|:--|:--|"]
    for kind, order in orders.served.items():
        weights = orders.weights_of(order, kind)
        shares = ", ".join(f"{name} {value:g}" for name, value in weights.items())
        lines.append(f"| {kind} | {order} | {orders.reasons[kind]} | {shares} |")
    figures = {
        f"valid {kind} {order} ndcg@10": float(value)
        for kind, measured in orders.measured.items()
        for order, value in measured.items()
    }
    return {"served": dg.MetadataValue.md("\n".join(lines)), **figures}


def headline_metadata(report: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics of the last stages and of what is served, and the cost of the whole."""
    blocks: dict[str, Mapping[str, Any]] = {}
    for split in ("valid", "test"):
        for part, stage in STAGES.items():
            blocks[f"{split} {stage}"] = report[part].get(split, {}).get(stage, {})
        for scenario, section in report.get("answer", {}).get(split, {}).items():
            blocks[f"{split} served {scenario}"] = section.get("served", {})
    found = {
        f"{name} {metric}": float(block[metric])
        for name, block in blocks.items()
        for metric in HEADLINES
        if block.get(metric) is not None
    }
    built = [row for row in report["cost"] if not row["skipped"]]
    found["cost seconds"] = float(sum(row["seconds"] or 0 for row in built))
    found["cost peak_memory_mb"] = float(max((r["peak_memory_mb"] or 0 for r in built), default=0))
    return found


def _table(section: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["| method | " + " | ".join(METRICS) + " |", "|:--|" + "--:|" * len(METRICS)]
    for method, block in section.items():
        cells = [_cell(block, metric) for metric in METRICS]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(block: Mapping[str, Any], metric: str) -> str:
    value = block.get(metric)
    if value is None:
        return "–"
    interval = (block.get("intervals") or {}).get(metric)
    figure = f"{value:.3f}"
    return figure if interval is None else f"{figure} [{interval[0]:.3f}, {interval[1]:.3f}]"
