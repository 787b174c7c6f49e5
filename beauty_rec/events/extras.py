"""The further fields of reviews (``extras``), as columns."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import polars as pl

from beauty_rec.events.places import rows_of

LOG = logging.getLogger("beauty_rec.events")
MAX_FIELDS = 200
"""With more names they are values that stand where names do."""


def extra_columns(
    extras: pl.Series, text: Callable[[Any], str | None], names: Sequence[str] | None = None
) -> Iterator[tuple[str, pl.Series]]:
    """Yield (name, column of strings) of the fields of JSON objects, in the order of their names.

    Args:
        extras: JSON objects as text, oldest first; null: no fields. Each distinct text is parsed
            once.
        text: a field's value (None: the row lacks it) → what stands in the column.
        names: of the fields; by default all that occur, the first :data:`MAX_FIELDS`, so that no
            later row decides. A row that has more by itself says none.

    >>> rows = pl.Series(['{"fit": "small"}', None, '{"fit": "small"}'])
    >>> [(name, found.to_list()) for name, found in extra_columns(rows, lambda value: value)]
    [('fit', ['small', None, 'small'])]
    """
    distinct = extras.drop_nulls().unique(maintain_order=True).to_list()
    objects = [json.loads(given) if given else {} for given in distinct]
    row = pl.Series(rows_of(extras, distinct)).replace(-1, None)
    for name in sorted(_first_names(objects) if names is None else names):
        values = pl.Series([text(given.get(name)) for given in objects], dtype=pl.String)
        yield name, values.gather(row)


def _first_names(objects: Sequence[dict[str, Any]]) -> list[str]:
    rows = [given for given in objects if len(given) <= MAX_FIELDS]
    found = dict.fromkeys(name for given in rows for name in given)
    if len(found) > MAX_FIELDS or len(rows) < len(objects):
        LOG.warning("reviews have over %d further fields: the first ones are read", MAX_FIELDS)
    return list(islice(found, MAX_FIELDS))
