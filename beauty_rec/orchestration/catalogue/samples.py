"""Examples for people to look at: what an artifact says about a few rows, as Markdown."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from beauty_rec.artifacts import Vectors
from beauty_rec.measures.vectors import mean_cosine
from beauty_rec.orchestration.catalogue.markdown import markdown_table

SHOWN = 6
NEAREST = 3
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


def frequent_metadata(frame: pl.LazyFrame, columns: Sequence[str]) -> dict[str, Any]:
    """Return the most frequent values of some columns of lists, with their counts."""
    rows = []
    for name in columns:
        said = frame.select(value=name).explode("value").drop_nulls().group_by("value").len()
        order = said.sort("len", "value", descending=[True, False]).head(12)
        counted = order.collect(engine="streaming")
        values = " · ".join(f"{value} {count:,}" for value, count in counted.iter_rows())
        rows.append({"column": name, "most frequent": values})
    return {"most_frequent": dg.MetadataValue.md(markdown_table(pl.DataFrame(rows), chars=400))}


def lists_metadata(
    ordered: pl.DataFrame, answers: pl.DataFrame, items: pl.DataFrame
) -> dict[str, Any]:
    """Return some events with the first items of the list that is served.

    Args:
        ordered: ``recommendations``.
        answers: ``review_id, parent_asin`` of the events.
        items: for the labels.
    """
    if not ordered.height:
        return {}
    label = labels(items)
    answer_of = dict(answers.select("review_id", "parent_asin").iter_rows())
    texts = dict(answers.select("review_id", "context").drop_nulls().iter_rows())
    table = []
    for number in evenly(ordered.height, SHOWN):
        row = ordered.row(number, named=True)
        given = row["scenario"] != "without_text"
        table.append(
            {
                "asked": texts.get(row["review_id"]) if given else "nothing",
                "order": row["order"],
                "served": " · ".join(label(item) for item in row["parent_asin"][:NEAREST]),
                "chosen": label(answer_of[row["review_id"]]),
                "place": row["rank_served"],
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
