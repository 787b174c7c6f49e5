"""The folder ``evaluation/``: ``report.json``, ``report.md`` and the plots that it embeds."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from beauty_rec.evaluation.plots.ranks import rank_histogram, recall_curves
from beauty_rec.evaluation.plots.training import loss_curve
from beauty_rec.evaluation.report.document import HELD_OUT, Report, write_report
from beauty_rec.evaluation.report.markdown import markdown_page
from beauty_rec.retriever.model_card import TrainingLog


def write_page(
    folder: Path,
    report: Report,
    retrieval: Mapping[str, pl.DataFrame],
    text_retriever: Path,
) -> dict[str, bytes]:
    """Write the folder anew and return its plots (PNG) by title.

    Args:
        folder: made empty first.
        report: of :func:`beauty_rec.evaluation.report.document.build_report`.
        retrieval: by split, of :func:`beauty_rec.evaluation.retrieval.retrieval_ranks`.
        text_retriever: folder of the tuned encoder, which holds its training log.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    plots = _plots(report, retrieval, TrainingLog.load(text_retriever))
    links = {}
    for title, png in plots.items():
        name = "".join(c if c.isalnum() else "_" for c in title.lower()) + ".png"
        (folder / name).write_bytes(png)
        links[title] = name
    write_report(report, folder / "report.json")
    (folder / "report.md").write_text(markdown_page(report, links) + "\n", encoding="utf-8")
    return plots


def _plots(
    report: Report, retrieval: Mapping[str, pl.DataFrame], log: TrainingLog
) -> dict[str, bytes]:
    note = "synthetic sample" if report["dataset"]["synthetic"] else ""
    plots = {}
    if any(len(frame) for frame in retrieval.values()):
        plots["Text retrieval: Recall@k"] = recall_curves(
            report["retrieval"], title="Text retrieval: Recall@k", note=note
        )
    if any(block for section in report["recommendation"].values() for block in section.values()):
        plots["Recommendation: Recall@k"] = recall_curves(
            report["recommendation"], title="Recommendation: Recall@k", note=note
        )
    for split in HELD_OUT:
        frame = retrieval.get(split)
        if frame is None or not len(frame):
            continue
        title = f"Rank of the answer, {split}"
        plots[title] = rank_histogram(
            {
                method: frame[f"rank_{method}"].to_numpy()
                for method in ("bm25", "base_encoder", "text_retriever")
            },
            report["dataset"]["items"],
            title=title,
            note=note,
        )
    if log.losses:
        plots["Fine-tuning"] = loss_curve(
            range(1, len(log.losses) + 1),
            log.losses,
            evaluations=log.evaluations,
            title="Fine-tuning of the text retriever",
            note=note,
        )
    return plots
