"""Ranges of item ids, each with so few rows that all of its rows can be held at once."""

from collections.abc import Iterator
from itertools import zip_longest

import polars as pl

RANGE_ROWS = 1_000_000
"""Reviews of a range; one item with more of them is a range of its own."""
RANGE_ITEMS = 100_000


def item_ranges(
    ids: pl.Series, rows: pl.LazyFrame, most_rows: int = RANGE_ROWS, most_items: int = RANGE_ITEMS
) -> Iterator[pl.Expr]:
    """Yield conditions on ``parent_asin`` in its order; every item falls into one range.

    Args:
        ids: of items that may have no rows.
        rows: with ``parent_asin``.
        most_rows, most_items: of a range.

    >>> rows = pl.LazyFrame({"parent_asin": ["a", "b", "b", "d"]})
    >>> within = item_ranges(pl.Series(["a", "c"]), rows, most_rows=2)
    >>> [rows.filter(range).collect().to_series().to_list() for range in within]
    [['a'], ['b', 'b'], ['d']]
    """
    own = rows.select(pl.col("parent_asin").cast(pl.String))
    counts = own.group_by("parent_asin").len().collect(engine="streaming")
    without = pl.DataFrame({"parent_asin": ids.cast(pl.String)}).join(
        counts, on="parent_asin", how="anti"
    )
    counts = pl.concat([counts, without.unique().with_columns(len=pl.lit(0, counts["len"].dtype))])
    counts = counts.sort("parent_asin")
    starts: list[str] = []
    held = items = 0
    for name, count in counts.iter_rows():
        if not starts or held + count > most_rows or items >= most_items:
            starts.append(name)
            held = items = 0
        held, items = held + count, items + 1
    for low, high in zip_longest(starts, starts[1:]):
        within = pl.col("parent_asin") >= low
        yield within if high is None else within & (pl.col("parent_asin") < high)
