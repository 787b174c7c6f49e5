"""The report as one Markdown page."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from beauty_rec.evaluation.block import Block
from beauty_rec.evaluation.report.comparison import (
    ANSWER_LEGEND,
    LEGENDS,
    best_baseline,
    best_part,
    other_stages,
    served_verdicts,
    title_of,
)
from beauty_rec.evaluation.report.document import HELD_OUT, Report, stands_out
from beauty_rec.evaluation.report.online import HEAD, ONLINE_LEGEND, online_rows, online_title
from beauty_rec.measures.metrics import RECALL_CUTS

KEY_METRICS = ("recall@10", "recall@100", "mrr", "ndcg@10")
GROUP_TITLES = {
    "answerable": "Only queries whose item had any text before the cut",
    "in_train": "Only events whose item occurs in train",
    "not_in_train": "Only events whose item train never saw",
    "warm": "Only users with earlier events",
    "cold": "Only users without any earlier event",
}
KNOWN_ANSWERS = {
    "answerable": "had any text before the cut, which bounds every method",
    "in_train": "occur in train",
}
NOT_HELD_OUT = (
    "a sample of train, to see overfitting; not held out: counts and item texts know these events, "
    "as do the learned orders, so nothing is tested"
)
SYNTHETIC = (
    "Synthetic sample: made-up reviews. These figures show that the pipeline works, no more."
)


def markdown_page(report: Report, plots: Mapping[str, str] | None = None) -> str:
    """Return the whole page.

    Args:
        report: of :func:`beauty_rec.evaluation.report.document.build_report`.
        plots: links to embed (path relative to the page), by title.
    """
    parts = ["# Evaluation report"]
    if report["dataset"].get("synthetic"):
        parts.append(f"> **{SYNTHETIC}**")
    parts += _dataset(report["dataset"])
    for name, title in (("retrieval", "Text retrieval"), ("recommendation", "Recommendation")):
        if name == "recommendation":
            parts += _by_keywords(report.get("retrieval_keywords", {}))
        parts.append(f"## {title}")
        measured = {
            split: section
            for split, section in report[name].items()
            if any(block.get("queries") for block in section.values())
        }
        if not measured:
            parts.append("Not measured.")
        for split, section in measured.items():
            parts += _section(split, section)
        if any(block.get("versus") for s in measured.values() for block in s.values()):
            parts.append(f"*{LEGENDS[name]}*")
    parts += _answer(report.get("answer", {}))
    if online := report.get("online"):
        parts += [f"## {online_title(online)}", table(HEAD, online_rows(online))]
        parts.append(f"*{ONLINE_LEGEND}*")
    parts += _reranker(report["reranker"])
    parts += _indexes(report["indexes"])
    parts += _cost(report["cost"])
    if plots:
        parts.append("## Plots")
        parts += [f"### {title}\n\n![{title}]({path})" for title, path in plots.items()]
    return "\n\n".join(parts) + "\n"


def with_interval(block: Block, metric: str) -> str:
    """Return ``0.1234 [0.110, 0.140]``; a dash when unknown."""
    if block.get(metric) is None:
        return "–"
    interval = (block.get("intervals") or {}).get(metric)
    if interval is None:
        return f"{block[metric]:.4f}"
    return f"{block[metric]:.4f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Return a Markdown table; the first ``left`` columns are flush left, the others right."""
    rule = ["---" if place < left else "--:" for place in range(len(head))]
    lines = [head, rule, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _dataset(dataset: Block) -> list[str]:
    split = dataset.get("split", {})
    rows = [
        [name.capitalize(), f"{dataset[name]:,}"]
        for name in ("reviews", "users", "items")
        if name in dataset
    ]
    rows += [[f"Reviews of {name}", f"{n:,}"] for name, n in split.get("rows", {}).items()]
    ends = (("train_end_ms", "Train ends before"), ("valid_end_ms", "Valid ends before"))
    rows += [[title, _day(split[key])] for key, title in ends if split.get(key) is not None]
    refused = dataset.get("quarantined", {})
    rows += [[f"Refused: {reason}", f"{n:,}"] for reason, n in refused.items()]
    notes = [f"- {note}" for note in dataset.get("notes", ())]
    return ["## Dataset", table(["", "count"], rows), *(["\n".join(notes)] if notes else [])]


def _section(split: str, section: Mapping[str, Block]) -> list[str]:
    measured = {method: block for method, block in section.items() if block}
    first = next(iter(measured.values()))
    note = "" if split in HELD_OUT else f" ({NOT_HELD_OUT})"
    facts = [f"{first['queries']:,} queries{note}"]
    for group, known in KNOWN_ANSWERS.items():
        share = (first.get(group) or {}).get("share")
        if share is not None:
            facts.append(f"{share:.1%} of the answers {known}")
    parts = [f"### {split}", "; ".join(facts) + ".", _metrics_table(split, section, measured)]
    recencies = [f"{m}: {b['recency']}" for m, b in measured.items() if b.get("recency")]
    if recencies:
        parts.append(f"What counts, as was best on valid: {'; '.join(recencies)}.")
    verdicts = _verdict_lines(section, measured)
    if verdicts:
        parts.append("\n".join(verdicts))
    head = ["Method", *(f"Recall@{k}" for k in RECALL_CUTS)]
    curve = [
        [method, *(_figure(block[f"recall@{k}"]) for k in RECALL_CUTS)]
        for method, block in measured.items()
    ]
    parts.append(table(head, curve))
    for group, title in GROUP_TITLES.items():
        within = {m: block[group] for m, block in measured.items() if block.get(group)}
        if within:
            count = next(iter(within.values()))["queries"]
            parts += [f"{title}: {count:,} queries.", _metrics_table(split, {}, within)]
    parts += _beyond_accuracy(measured)
    return parts


def _beyond_accuracy(measured: Mapping[str, Block]) -> list[str]:
    extra = {m: b["beyond_accuracy"] for m, b in measured.items() if b.get("beyond_accuracy")}
    if not extra:
        return []
    names = list(next(iter(extra.values())))
    rows = [[m, *(_figure(of_method.get(n)) for n in names)] for m, of_method in extra.items()]
    return ["Beyond accuracy (novelty in bits).", table(["Method", *names], rows)]


def _answer(answer: Mapping[str, Mapping[str, Mapping[str, Block]]]) -> list[str]:
    """Return what is served beside every part of it, by scenario, on the held-out splits.

    The learned orders have seen the events of train: there they win over what is served.
    """
    parts: list[str] = []
    for split in HELD_OUT:
        for scenario, section in answer.get(split, {}).items():
            measured = {method: block for method, block in section.items() if block}
            if not measured:
                continue
            first = next(iter(measured.values()))
            note = "; its orders were chosen by this split" if split == "valid" else ""
            rows = [
                [
                    _emphasised(method, split) if method == "served" else method,
                    *(
                        with_interval(block, metric)
                        + (f" {v.mark}" if (v := best_part(section, method, metric)) else "")
                        for metric in KEY_METRICS
                    ),
                    *(
                        _figure((block.get(group) or {}).get("recall@100"))
                        for group in ("in_train", "not_in_train")
                    ),
                ]
                for method, block in measured.items()
            ]
            head = ["Order", *(f"{title_of(m)} [95%]" for m in KEY_METRICS)]
            head += ["Recall@100, answer in train", "not in train"]
            parts += [
                f"### {split}, {scenario.replace('_', ' ')}",
                f"{first['queries']:,} events{note}.",
                table(head, rows),
            ]
            lines = [
                f"- {verdict.mark} {verdict.sentence()}"
                for metric in ("recall@100", "ndcg@10")
                for verdict in served_verdicts(section, metric)
            ]
            parts += ["\n".join(lines)] if lines else []
            parts += _beyond_accuracy(measured)
    if not parts:
        return []
    return ["## The answer as served", *parts, f"*{ANSWER_LEGEND}*"]


def _by_keywords(sections: Mapping[str, Mapping[str, Block]]) -> list[str]:
    rows = [
        [
            split,
            _emphasised(method, split),
            f"{block['queries']:,}",
            *_metric_cells(section, method),
        ]
        for split, section in sections.items()
        for method, block in section.items()
        if block.get("queries")
    ]
    head = ["Split", "Method", "Queries", *(f"{title_of(m)} [95%]" for m in KEY_METRICS)]
    text = "The query is a review's keywords in place of its text, of a sample of the reviews."
    return ["## Retrieval by keywords", text, table(head, rows, left=2)] if rows else []


def _metrics_table(split: str, section: Mapping[str, Block], measured: Mapping[str, Block]) -> str:
    rows = [
        [_emphasised(method, split), *_metric_cells({**section, method: block}, method)]
        for method, block in measured.items()
    ]
    return table(["Method", *(f"{title_of(m)} [95%]" for m in KEY_METRICS)], rows)


def _metric_cells(section: Mapping[str, Block], method: str) -> list[str]:
    verdicts = (best_baseline(section, method, metric) for metric in KEY_METRICS)
    return [
        with_interval(section[method], metric) + (f" {verdict.mark}" if verdict else "")
        for metric, verdict in zip(KEY_METRICS, verdicts, strict=True)
    ]


def _emphasised(method: str, split: str) -> str:
    """Return a method's name, bold where it stands out on the split."""
    return f"**{method}**" if stands_out(method, split) else method


def _verdict_lines(section: Mapping[str, Block], measured: Mapping[str, Block]) -> list[str]:
    lines = []
    for method in measured:
        for metric in ("recall@100", "mrr", "ndcg@10"):
            best = best_baseline(section, method, metric)
            found = ([best] if best else []) + other_stages(section, method, metric)
            lines += [f"- {verdict.mark} {verdict.sentence()}" for verdict in found]
    return lines


def _reranker(reranker: Mapping[str, Block]) -> list[str]:
    rows = [
        [split, _figure(block.get("auc")), _figure(block.get("log_loss"))]
        for split, block in reranker.items()
        if block
    ]
    if not rows:
        return ["## Reranker", "Not measured."]
    said = "The DeepFM over every candidate of every ask, whichever order is served."
    return ["## Reranker", table(["Split", "AUC", "Log loss (nats)"], rows), said]


def _indexes(indexes: Mapping[str, Block]) -> list[str]:
    rows = [
        [name, f"{block.get('rows', 0):,}", _figure(block.get("recall_vs_exact@100"))]
        for name, block in indexes.items()
        if block
    ]
    head = ["Index", "Rows", "Recall@100 against exact search"]
    return ["## Indexes", table(head, rows) if rows else "Not measured."]


def _cost(cost: Sequence[Block]) -> list[str]:
    if not cost:
        return ["## Cost", "Not measured."]
    rows = [
        [
            row["asset"],
            row["split"] or "",
            "–" if row["seconds"] is None else f"{row['seconds']:,.1f}",
            "–" if row["rows"] is None else f"{row['rows']:,}",
            "–" if row["peak_memory_mb"] is None else f"{row['peak_memory_mb']:,.0f}",
            "skipped" if row["skipped"] else "",
        ]
        for row in cost
    ]
    head = ["Asset", "Split", "Seconds", "Rows", "Peak memory (MB)", ""]
    total = sum(row["seconds"] or 0 for row in cost)
    return ["## Cost", table(head, rows, left=2), f"{total:,.1f} s in all."]


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _day(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
