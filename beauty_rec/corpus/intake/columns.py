"""The columns of a Parquet file, as what JSON lines of the same rows would hold.

Only columns that an intake can use are read: single values, and native fields of any kind, so that
a row is refused for the same reason in every format. What has no form in JSON (bytes, images,
objects) is left out, wherever it stands.
"""

from collections.abc import Iterator
from typing import Any

import polars as pl
from polars import selectors

from beauty_rec.corpus.schema import ITEM_FIELDS, REVIEW_FIELDS

NATIVE_FIELDS = REVIEW_FIELDS | ITEM_FIELDS
UNUSED_FIELDS = ("images", "asin", "videos", "bought_together")
_MOST_LEVELS = 8
"""Of lists and structs in one another; what lies deeper is left out."""


def readable(schema: pl.Schema) -> Iterator[pl.Expr]:
    """Yield an expression for each column of use, named as the column and fit to be JSON."""
    for name, dtype in schema.items():
        column = selectors.by_name(name).as_expr()  # pl.col would take "*" and "^…$" for patterns
        if name in UNUSED_FIELDS or (dtype.is_nested() and name not in NATIVE_FIELDS):
            continue
        if name == "timestamp" and isinstance(dtype, pl.Datetime | pl.Date):
            yield column.dt.epoch("ms")
        else:
            found = _plain(column, dtype, name in NATIVE_FIELDS, _MOST_LEVELS)
            if found is not None:
                yield found.alias(name)


def _plain(column: pl.Expr, dtype: Any, is_native: bool, levels: int) -> pl.Expr | None:
    """Return ``column`` as JSON can say it; None where it cannot.

    Bytes of native fields are text: some writers leave out to say so.
    """
    if dtype == pl.String or dtype == pl.Boolean or dtype.is_integer() or dtype.is_float():
        return column
    if dtype == pl.Binary and is_native:
        return column.map_elements(_decoded, return_dtype=pl.String)
    if dtype.is_decimal():
        return column.cast(pl.Float64)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return column.cast(pl.String)
    if dtype.is_temporal():
        return column.dt.to_string("iso")
    if isinstance(dtype, pl.BaseExtension):  # as JSON and UUIDs are written
        return _plain(column.ext.storage(), dtype.ext_storage(), is_native, levels)
    if not levels:
        return None
    if isinstance(dtype, pl.Map):
        pairs = pl.List(pl.Struct({"key": dtype.key, "value": dtype.value}))
        return _plain(column.cast(pairs), pairs, is_native, levels)
    if isinstance(dtype, pl.Array):
        return _plain(column.arr.to_list(), pl.List(dtype.inner), is_native, levels)
    if isinstance(dtype, pl.List):
        inner = _plain(pl.element(), dtype.inner, is_native, levels - 1)
        return None if inner is None else column.list.eval(inner)
    if isinstance(dtype, pl.Struct):
        fields = [
            found.alias(field.name)
            for field in dtype.fields
            if (found := _field(column, field, is_native, levels - 1)) is not None
        ]
        return pl.when(column.is_not_null()).then(pl.struct(fields)) if fields else None
    return None


def _field(column: pl.Expr, field: pl.Field, is_native: bool, levels: int) -> pl.Expr | None:
    return _plain(column.struct.field(field.name), field.dtype, is_native, levels)


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", errors="replace")
