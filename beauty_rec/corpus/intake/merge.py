"""Part files to one sorted Parquet file without duplicates, a key range at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from beauty_rec.artifacts import write_rows
from beauty_rec.corpus.intake.convert import LINE
from beauty_rec.corpus.schema import QUARANTINE_SCHEMA

RANGE_ROWS = 200_000
"""Rows that are sorted and written at once, of a file of a few millions."""
MOST_RANGES = 32
"""Every range looks into every part: more of them would cost the square of a file's size."""


def merge_parts(
    parts: list[Path], target: Path, schema: dict[str, Any], key: str, sort_by: list[str]
) -> int:
    """Write the rows of ``parts`` to ``target``, sorted by ``sort_by``; return the duplicates.

    Of rows with the same ``key`` the first (smallest `line`) stays. Memory: the key columns of
    all rows, and the whole rows of about `RANGE_ROWS`, or of a `MOST_RANGES`-th. ``sort_by`` must
    order rows in full, so that the same rows give the same bytes.
    """
    if not parts:
        write_rows(pl.DataFrame(schema=schema), target, "lz4")
        return 0
    keys = (
        pl.scan_parquet(parts, glob=False)
        .select({key, LINE})
        .filter(pl.col(key).is_duplicated())
        .collect()
    )
    repeated = keys.sort(LINE).filter(~pl.col(key).is_first_distinct())[LINE].sort()
    lead = pl.read_parquet(parts, columns=[sort_by[0]], glob=False)[sort_by[0]].sort()
    rows_each = max(RANGE_ROWS, -(-len(lead) // MOST_RANGES))
    bounds = lead.gather_every(rows_each).unique(maintain_order=True).to_list()
    del keys, lead

    def ranges(*_: Any) -> Iterator[pl.DataFrame]:
        for low, high in zip(bounds, [*bounds[1:], None], strict=True):
            inside = pl.col(sort_by[0]) >= low
            if high is not None:
                inside &= pl.col(sort_by[0]) < high
            rows = pl.scan_parquet(parts, glob=False).filter(inside)
            if len(repeated):
                rows = rows.filter(~pl.col(LINE).is_in(repeated.implode()))
            yield rows.select(list(schema)).collect().sort(sort_by)

    if len(bounds) == 1:
        write_rows(next(ranges()), target, "lz4")
    else:
        write_rows(register_io_source(io_source=ranges, schema=pl.Schema(schema)), target, "lz4")
    return len(repeated)


def merge_quarantine(parts: list[Path], target: Path) -> None:
    """Write the refused rows of all parts, in the order of the file, to ``target``."""
    empty = pl.DataFrame(schema=QUARANTINE_SCHEMA)
    write_rows(pl.scan_parquet(parts, glob=False) if parts else empty, target, "lz4")
