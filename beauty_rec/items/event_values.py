"""What train events say, put into an attributes frame, or taken out again."""

import polars as pl

from beauty_rec.items.event_evidence import event_evidence
from beauty_rec.settings import AttributeSettings


def add_event_values(frame: pl.DataFrame, found: pl.DataFrame, cap: int) -> pl.DataFrame:
    """Put what events say before what the metadata says, in the RE columns of the fields.

    Args:
        frame: of attributes; a field that it lacks becomes a new column.
        found: of :func:`beauty_rec.items.event_evidence.telling`.
        cap: values of an item and field that are kept.
    """
    for name, part in _by_column(frame, found).items():
        values = _said_of(frame, part).fill_null([])
        if name in frame.columns:
            values = values.list.concat(frame[name]).list.unique(maintain_order=True)
        frame = frame.with_columns(values.list.head(cap).alias(name))
    return frame


def without_event_values(
    attributes: pl.DataFrame,
    reviews: pl.DataFrame,
    profiles: pl.DataFrame | None,
    settings: AttributeSettings,
) -> pl.DataFrame:
    """Return the attributes frame with the columns that events can fill emptied.

    Args:
        attributes: of :func:`beauty_rec.items.attributes.item_attributes`.
        reviews, profiles, settings: what it was made from.
    """
    found = event_evidence(reviews, profiles, settings)
    columns = [name for name in _by_column(attributes, found) if name in attributes.columns]
    return attributes.with_columns(pl.lit([], dtype=pl.List(pl.String)).alias(n) for n in columns)


def without_values(attributes: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
    """Return the attributes frame less the values that events ``said``.

    A value that the metadata says too is taken out as well: the frame does not tell the two apart.
    """
    for name, part in _by_column(attributes, said).items():
        if name in attributes.columns:
            given = _said_of(attributes, part)
            pairs = zip(attributes[name].to_list(), given.to_list(), strict=True)
            kept = [[v for v in values if v not in (events or ())] for values, events in pairs]
            attributes = attributes.with_columns(pl.Series(name, kept, dtype=pl.List(pl.String)))
    return attributes


def _said_of(frame: pl.DataFrame, part: pl.DataFrame) -> pl.Series:
    """Return the values of each item of ``frame``, beside whose columns of any name they stay."""
    items = frame.select("parent_asin")
    return items.join(part, on="parent_asin", how="left", maintain_order="left")["values"]


def _by_column(frame: pl.DataFrame, found: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the rows of each field by its RE column; a field named like an STD one has its own."""
    parts = found.partition_by("field", as_dict=True, maintain_order=True, include_key=False)
    std = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    return {
        f"event_{field}" if field in std else str(field): part for (field,), part in parts.items()
    }
