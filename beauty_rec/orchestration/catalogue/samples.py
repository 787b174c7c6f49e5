"""Examples for people to look at: what an artifact says about a few rows, as Markdown."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from beauty_rec.artifacts import Vectors
from beauty_rec.orchestration.catalogue.markdown import markdown_table

SHOWN = 6
NEAREST = 3
SAMPLE = 2_000
LABEL_CHARS = 60


def neighbours_metadata(vectors: Vectors, items: pl.DataFrame) -> dict[str, Any]:
    """Return some items with their nearest, and figures that tell whether vectors collapsed.

    Args:
        vectors: of the items, unit length.
        items: ``parent_asin`` and ``title``, ``text`` or both, for the labels.
    """
    if len(vectors.ids) < 2:
        return {}
    rows = evenly(len(vectors.ids), SHOWN)
    label = labels(items)
    table = []
    for row in rows:
        cosines = vectors.matrix @ vectors.matrix[row]
        best = [other for other in np.argsort(-cosines)[: NEAREST + 1] if other != row][:NEAREST]
        nearest = [f"{label(vectors.ids[other])} ({cosines[other]:.2f})" for other in best]
        table.append({"item": label(vectors.ids[row]), "nearest": " · ".join(nearest)})
    return {
        "mean_cosine": mean_cosine(vectors.matrix),
        "nearest_items": dg.MetadataValue.md(markdown_table(pl.DataFrame(table), chars=240)),
    }


def mean_cosine(matrix: np.ndarray) -> float:
    """Return the mean cosine of different rows of unit vectors, over an even sample of them.

    From the sum of all of them, since ``|Σv|² = N + Σ_{i≠j} v_i·v_j``.
    """
    sample = np.asarray(matrix[evenly(len(matrix), SAMPLE)], dtype=np.float64)
    n = len(sample)
    if n < 2:
        return 0.0
    return float((np.square(sample.sum(axis=0)).sum() - np.square(sample).sum()) / (n * (n - 1)))


def answers_metadata(
    queries: pl.DataFrame, found: Sequence[Sequence[str]], items: pl.DataFrame
) -> dict[str, Any]:
    """Return some queries with the first items found for them.

    Args:
        queries: ``query`` (text) and ``parent_asin`` (the answer), row by row.
        found: ids for each query, best first.
        items: for the labels.
    """
    if not queries.height:
        return {}
    label = labels(items)
    table = []
    for row in evenly(queries.height, SHOWN):
        answer = queries["parent_asin"][row]
        place = list(found[row]).index(answer) + 1 if answer in found[row] else None
        table.append(
            {
                "query": queries["query"][row],
                "found": " · ".join(label(item) for item in found[row][:NEAREST]),
                "answer": label(answer),
                "place": place,
            }
        )
    return {"examples": dg.MetadataValue.md(markdown_table(pl.DataFrame(table), chars=200))}


def frequent_metadata(frame: pl.DataFrame, columns: Sequence[str]) -> dict[str, Any]:
    """Return the most frequent values of some columns of lists, with their counts."""
    rows = []
    for name in columns:
        counted = frame[name].explode().drop_nulls().value_counts(sort=True).head(12)
        values = " · ".join(f"{value} {count:,}" for value, count in counted.iter_rows())
        rows.append({"column": name, "most frequent": values})
    return {"most_frequent": dg.MetadataValue.md(markdown_table(pl.DataFrame(rows), chars=400))}


def orders_metadata(
    ordered: pl.DataFrame, events: pl.DataFrame, items: pl.DataFrame
) -> dict[str, Any]:
    """Return some events with the first candidates as they were put in order.

    Args:
        ordered: ``review_id, parent_asin, rank, probability``.
        events: ``review_id, parent_asin`` (the answer) and ``context``.
        items: for the labels.
    """
    if not events.height:
        return {}
    label = labels(items)
    table = []
    for row in evenly(events.height, SHOWN):
        event = events.row(row, named=True)
        mine = ordered.filter(review_id=event["review_id"]).sort("rank")
        hit = mine.filter(parent_asin=event["parent_asin"])
        first = mine.head(NEAREST).select("parent_asin", "probability").iter_rows()
        table.append(
            {
                "context": event.get("context"),
                "recommended": " · ".join(f"{label(item)} ({p:.3f})" for item, p in first),
                "chosen": label(event["parent_asin"]),
                "place": hit["rank"][0] if hit.height else None,
            }
        )
    return {"examples": dg.MetadataValue.md(markdown_table(pl.DataFrame(table), chars=220))}


def labels(items: pl.DataFrame) -> Any:
    """Return a function from an item's id to a short name of it."""
    columns = [column for column in ("title", "text") if column in items.columns]
    names = dict(
        items.select(
            "parent_asin",
            pl.coalesce([pl.col(c).replace("", None) for c in columns] or [pl.col("parent_asin")]),
        ).iter_rows()
    )

    def label(item: str) -> str:
        text = names.get(item) or item
        return text if len(text) <= LABEL_CHARS else text[: LABEL_CHARS - 1] + "…"

    return label


def evenly(count: int, wanted: int) -> list[int]:
    """Return at most ``wanted`` row numbers, evenly spread over ``count``."""
    return sorted({int(row) for row in np.linspace(0, count - 1, min(count, wanted))})
