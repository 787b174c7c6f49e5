"""A language model's reading in the catalogue: who read what, its cost, and final stops."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import polars as pl

from beauty_rec.language.errors import Stopped
from beauty_rec.language.usage import Usage
from beauty_rec.orchestration.catalogue.markdown import markdown_table

EXAMPLES = 10


@contextmanager
def stops_are_final() -> Iterator[None]:
    """Turn a spent budget or too many refused answers into a failure that is not retried."""
    try:
        yield
    except Stopped as stop:
        raise dg.Failure(description=str(stop), allow_retries=False) from stop


def reading_metadata(extractor: Any, found: pl.DataFrame | pl.LazyFrame) -> dict[str, Any]:
    """Return who read what: rows by ``source``, and what the language model cost.

    Args:
        extractor: with ``source``, and ``usage`` if it asked a language model.
        found: with a column ``source``.
    """
    counted = found.lazy().group_by("source").len().sort("len", "source", descending=[True, False])
    rows = counted.collect().iter_rows()
    facts: dict[str, Any] = {"source": extractor.source, "rows_by_source": dict(rows)}
    usage: Usage | None = getattr(extractor, "usage", None)
    if usage is None:
        return {"backend": "rules", **facts}
    model, _, prompts = extractor.source.rpartition("/")
    return {"backend": "openai", "model": model, "prompts": prompts, **facts, **usage.metadata()}


def examples(found: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """Return ten rows from all over ``found`` as a table."""
    return dg.MetadataValue.md(
        markdown_table(found.gather_every(max(1, found.height // EXAMPLES)).head(EXAMPLES))
    )
