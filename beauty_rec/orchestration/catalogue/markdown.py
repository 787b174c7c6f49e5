"""Tables and pictures as Markdown, for the pages of Dagster."""

import base64
from typing import Any

import dagster as dg
import polars as pl

from beauty_rec.orchestration.catalogue.columns import column_metadata

PREVIEW_ROWS = 8


PREVIEW_CHARS = 80


def frame_metadata(asset: str, frame: pl.LazyFrame) -> dict[str, Any]:
    """Return row count, column schema and lineage, and a Markdown preview of a frame."""
    rows = frame.select(pl.len()).collect().item()
    return {
        "dagster/row_count": rows,
        **column_metadata(asset, frame.collect_schema()),
        "preview": dg.MetadataValue.md(
            markdown_table(without_users(frame.head(PREVIEW_ROWS).collect()))
        ),
    }


def without_users(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame that names no user: what Dagster keeps of a run is kept for good."""
    said = r'("user_id"\s*:\s*")[^"]*'
    names = {"user_id": pl.lit("…"), "excerpt": pl.col("excerpt").str.replace_all(said, "${1}…")}
    return frame.with_columns(**{n: e for n, e in names.items() if n in frame.columns})


def markdown_table(frame: pl.DataFrame, chars: int = PREVIEW_CHARS) -> str:
    """Return ``frame`` as a Markdown table, its cells cut to a readable length."""

    def cell(value: Any) -> str:
        if isinstance(value, list | pl.Series):
            value = ", ".join(map(str, value))
        elif isinstance(value, float):
            value = f"{value:.4g}"
        text = "" if value is None else " ".join(str(value).split()).replace("|", "\\|")
        return text if len(text) <= chars else text[: chars - 1] + "…"

    right = [":--" if not kind.is_numeric() else "--:" for kind in frame.dtypes]
    lines = ["| " + " | ".join(frame.columns) + " |", "|" + "|".join(right) + "|"]
    lines += ["| " + " | ".join(cell(v) for v in row) + " |" for row in frame.iter_rows()]
    return "\n".join(lines)


def image_markdown(title: str, png: bytes) -> str:
    """Return a PNG as Markdown that carries the image itself."""
    return f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})"
