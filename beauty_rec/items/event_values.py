"""What train events say, put into an attributes frame, taken out again, or set back to a moment.

A model that learns from train events must not read in an item's attributes what those events will
say of it: that an item has buyers at all tells which items are going to sell.
"""

import polars as pl

from beauty_rec.items.event_evidence import buyer_steps, event_evidence, telling
from beauty_rec.settings import AttributeSettings


def add_event_values(frame: pl.DataFrame, found: pl.DataFrame, cap: int) -> pl.DataFrame:
    """Put what events say before what the metadata says, in the RE columns of the fields.

    Args:
        frame: of attributes; a field that it lacks becomes a new column.
        found: of :func:`beauty_rec.items.event_evidence.telling`.
        cap: values of an item and field that are kept.
    """
    for name, part in _by_column(frame, found).items():
        joined = frame.join(part, on="parent_asin", how="left", maintain_order="left")
        values = pl.col("values").fill_null([])
        if name in frame.columns:
            values = values.list.concat(name).list.unique(maintain_order=True)
        frame = joined.with_columns(values.list.head(cap).alias(name)).drop("values")
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


class EventValueHistory:
    """The attributes frame as it would be if only the events before a moment were known.

    The bands of numbers stay those of all ``reviews``, so that values keep their ids. A value that
    the metadata says too is taken out with the later events that say it: the frame does not tell
    the two apart.

    Args:
        attributes: of :func:`beauty_rec.items.attributes.item_attributes`.
        reviews, profiles, settings: what it was made from.
    """

    def __init__(
        self,
        attributes: pl.DataFrame,
        reviews: pl.DataFrame,
        profiles: pl.DataFrame | None,
        settings: AttributeSettings,
    ) -> None:
        self._reviews, self._profiles, self._settings = reviews, profiles, settings
        self._steps = None if profiles is None else buyer_steps(reviews, profiles)
        self._columns = attributes.columns
        said = self._said_by(reviews)
        self._fields = said["field"].unique().to_list()
        self._bare = _stripped(attributes, said)

    def before(self, until_ms: int) -> pl.DataFrame:
        """Return the frame without what events from ``until_ms`` (Unix ms) on say."""
        known = self._said_by(self._reviews.filter(pl.col("timestamp") < until_ms))
        known = known.filter(pl.col("field").is_in(self._fields))
        return add_event_values(self._bare, known, self._settings.max_values).select(self._columns)

    def _said_by(self, reviews: pl.DataFrame) -> pl.DataFrame:
        evidence = event_evidence(reviews, self._profiles, self._settings, self._steps)
        return telling(evidence, self._settings)


def _stripped(attributes: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
    """Return the attributes less the values that events said."""
    for name, part in _by_column(attributes, said).items():
        if name in attributes.columns:
            given = attributes.select("parent_asin").join(
                part, on="parent_asin", how="left", maintain_order="left"
            )["values"]
            pairs = zip(attributes[name].to_list(), given.to_list(), strict=True)
            kept = [[v for v in values if v not in (events or ())] for values, events in pairs]
            attributes = attributes.with_columns(pl.Series(name, kept, dtype=pl.List(pl.String)))
    return attributes


def _by_column(frame: pl.DataFrame, found: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the rows of each field by its RE column; a field named like an STD one has its own."""
    parts = found.partition_by("field", as_dict=True, maintain_order=True, include_key=False)
    std = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    return {
        f"event_{field}" if field in std else str(field): part for (field,), part in parts.items()
    }
