"""The further fields of reviews (``extras``), as columns."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import polars as pl

from beauty_rec.events.places import rows_of


def extra_columns(
    extras: pl.Series, text: Callable[[Any], str | None], names: Sequence[str] | None = None
) -> Iterator[tuple[str, pl.Series]]:
    """Yield (name, column of strings) of the fields of JSON objects, in the order of their names.

    Args:
        extras: JSON objects as text; null: no fields. Each distinct text is parsed once.
        text: a field's value (None: the row lacks it) → what stands in the column.
        names: of the fields; all that occur when left out.

    >>> rows = pl.Series(['{"fit": "small"}', None, '{"fit": "small"}'])
    >>> [(name, found.to_list()) for name, found in extra_columns(rows, lambda value: value)]
    [('fit', ['small', None, 'small'])]
    """
    distinct = extras.drop_nulls().unique().to_list()
    objects = [json.loads(given) if given else {} for given in distinct]
    row = pl.Series(rows_of(extras, distinct)).replace(-1, None)
    found = {name for given in objects for name in given}
    for name in sorted(found if names is None else names):
        values = pl.Series([text(given.get(name)) for given in objects], dtype=pl.String)
        yield name, values.gather(row)
