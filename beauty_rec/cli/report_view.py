"""The report in the terminal (`beauty-rec report`)."""

from collections.abc import Callable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from beauty_rec.evaluation.block import Block
from beauty_rec.evaluation.report.comparison import (
    Verdict,
    best_baseline,
    best_part,
    served_verdicts,
    title_of,
)
from beauty_rec.evaluation.report.document import HELD_OUT, Report, stands_out
from beauty_rec.evaluation.report.markdown import KEY_METRICS, SYNTHETIC
from beauty_rec.evaluation.report.online import HEAD, ONLINE_LEGEND, online_rows, online_title

Comparison = Callable[[Mapping[str, Block], str, str], Verdict | None]

_STYLES = {
    "wins": "bold green",
    "ahead": "green",
    "level": "",
    "behind": "red",
    "loses": "bold red",
}
LEGEND = (
    "▲▼ better or worse than the best baseline (answers: than the best other order; what is served "
    "beside the best baseline: below), p < 0.05; △▽ not significant; under a figure: 95% interval"
)


def terminal_view(report: Report) -> RenderableType:
    """Return the report's metric tables as one rich renderable, to hand to ``Console.print``."""
    dataset = report["dataset"]
    counts = ", ".join(f"{dataset.get(n) or 0:,} {n}" for n in ("reviews", "users", "items"))
    notes = [Text(note, style="yellow") for note in dataset.get("notes", ())]
    parts: list[RenderableType] = [Text(counts), *notes]
    if dataset.get("synthetic"):
        parts.insert(0, Text(SYNTHETIC, style="bold yellow"))
    marked = False
    for name, title in (("retrieval", "Text retrieval"), ("recommendation", "Recommendation")):
        for split, section in report[name].items():
            if any(block.get("queries") for block in section.values()):
                parts.append(_table(title, split, section))
                marked = marked or any(block.get("versus") for block in section.values())
        if name == "retrieval" and (table := _keywords_table(report.get("retrieval_keywords", {}))):
            parts.append(table)
    # The learned orders have seen the events of train: there they win over what is served.
    for split in HELD_OUT:
        for scenario, section in report.get("answer", {}).get(split, {}).items():
            if any(block.get("queries") for block in section.values()):
                title = f"Answer {scenario.replace('_', ' ')}"
                parts.append(_table(title, split, section, best_part))
                parts += [_line(v, split) for v in served_verdicts(section, "ndcg@10")]
                marked = True
    if online := report.get("online"):
        parts += [_online_table(online), Text(ONLINE_LEGEND, style="dim")]
    for split, block in report["reranker"].items():
        if block:
            figures = "  ".join(f"{k} {block[k]:.4f}" for k in ("auc", "log_loss") if block.get(k))
            parts.append(Text(f"Reranker, {split}: {figures}"))
    for name, block in report["indexes"].items():
        if block.get("recall_vs_exact@100") is not None:
            recall = block["recall_vs_exact@100"]
            rows = block.get("rows", 0)
            parts.append(Text(f"{name}: {rows:,} rows, recall@100 {recall:.4f} of exact search"))
    if len(parts) == 1 + len(notes) + bool(dataset.get("synthetic")):
        parts.append(Text("Nothing is measured yet."))
    if marked:
        parts.append(Text(LEGEND, style="dim"))
    return Group(*parts)


def terminal_text(report: Report, width: int = 120) -> str:
    """Return the same as plain text of at most ``width`` columns, for a log or a file."""
    console = Console(width=width, color_system=None, force_terminal=False, record=False)
    with console.capture() as caught:
        console.print(terminal_view(report))
    return caught.get()


def _table(
    title: str,
    split: str,
    section: Mapping[str, Block],
    compared: Comparison = best_baseline,
) -> Table:
    measured = {method: block for method, block in section.items() if block}
    first = next(iter(measured.values()))
    facts = f"{first['queries']:,} queries" + (", not held out" if split not in HELD_OUT else "")
    for group, word in (("answerable", "answerable"), ("in_train", "of answers in train")):
        share = (first.get(group) or {}).get("share")
        if share is not None:
            facts += f", {share:.1%} {word}"
    found = Table(title=f"{title}, {split} ({facts})", title_justify="left", box=SIMPLE_HEAD)
    found.add_column("method", no_wrap=True)
    for metric in KEY_METRICS:
        found.add_column(title_of(metric), justify="right", no_wrap=True)
    for method in measured:
        found.add_row(_name(method, split), *_cells(split, section, method, compared))
    return found


def _keywords_table(sections: Mapping[str, Mapping[str, Block]]) -> Table | None:
    """Return one table of all splits: the queries are keywords in place of texts."""
    counts = {
        split: count
        for split, section in sections.items()
        if (count := max((block.get("queries", 0) for block in section.values()), default=0))
    }
    if not counts:
        return None
    facts = ", ".join(f"{count:,} queries of {split}" for split, count in counts.items())
    title = f"Retrieval by keywords ({facts})"
    found = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for name in ("split", "method"):
        found.add_column(name, no_wrap=True)
    for metric in KEY_METRICS:
        found.add_column(title_of(metric), justify="right", no_wrap=True)
    for split in counts:
        for method, block in sections[split].items():
            if block:
                cells = _cells(split, sections[split], method, with_intervals=False)
                found.add_row(split, _name(method, split), *cells)
    return found


def _online_table(online: Mapping[str, Any]) -> Table:
    """Return what people did with what they were shown; below a rate (80 columns) its interval."""
    found = Table(title=online_title(online), title_justify="left", box=SIMPLE_HEAD)
    found.add_column(HEAD[0], no_wrap=True)
    for name in HEAD[1:]:
        found.add_column(name.removesuffix(" [95%]"), justify="right", no_wrap=name != HEAD[-1])
    for title, shown, *rates in online_rows(online):
        cells = (cell.replace(" [", "\n").replace(", ", "–").rstrip("]") for cell in rates)
        found.add_row(title, shown, *map(Text, cells))
    return found


def _name(method: str, split: str) -> Text:
    return Text(method, style="bold" if stands_out(method, split) else "")


def _style(verdict: Verdict, split: str) -> str:
    """Return how a mark looks: bold for a result, but on valid, by which things were chosen."""
    style = _STYLES[verdict.outcome]
    return style if stands_out(verdict.stage, split) else style.removeprefix("bold ")


def _line(verdict: Verdict, split: str) -> Text:
    """Return what is served beside one other, in words."""
    return Text.assemble((verdict.mark, _style(verdict, split)), f" {verdict.sentence()}")


def _cells(
    split: str,
    section: Mapping[str, Block],
    method: str,
    compared: Comparison = best_baseline,
    with_intervals: bool = True,
) -> list[Text]:
    """Return a figure for each key metric, below it (so that 80 columns do) its interval."""
    block = section[method]
    cells = []
    for metric in KEY_METRICS:
        verdict = compared(section, method, metric)
        cell = Text()
        if verdict:
            cell.append(f"{verdict.mark} ", style=_style(verdict, split))
        cell.append("–" if block.get(metric) is None else f"{block[metric]:.4f}")
        limits = (block.get("intervals") or {}).get(metric)
        if limits and with_intervals:
            cell.append(f"\n{limits[0]:.3f}–{limits[1]:.3f}", style="dim")
        cells.append(cell)
    return cells
