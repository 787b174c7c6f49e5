"""User profiles: JSON lines of `user_id` and any further fields, to one row per user."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from beauty_rec.artifacts import atomic_path, write_rows
from beauty_rec.corpus.intake.blocks import iter_blocks
from beauty_rec.corpus.intake.convert import LINE, Refusals, valid_rows
from beauty_rec.corpus.intake.errors import CorpusFileError
from beauty_rec.corpus.intake.ingest import Intake, no_rows
from beauty_rec.corpus.schema import PROFILE, QUARANTINE_SCHEMA
from beauty_rec.corpus.text import clean_text
from beauty_rec.settings import CorpusSettings

MAX_FIELDS = 200
_NUMBER = "number:"
_STRING = "string:"


def ingest_profiles(
    source: Path, target: Path, quarantine: Path, settings: CorpusSettings
) -> Intake:
    """Write one row per user to ``target``, sorted by `user_id`; refused rows to ``quarantine``.

    A field with a number (or true/false) in any row becomes a Float32 column: strings in it are
    read as numbers, and what is no finite number is null. A field of strings only becomes a
    String column, cleaned. Lists and objects are left out. Columns stand in the order of their
    names. Of several rows of a user the first is kept.

    Raises:
        CorpusFileError: the file cannot be read as a whole, holds no rows, or has more than
            `MAX_FIELDS` fields (so that it is hardly a file of profiles).
    """
    frames, refused_frames = [], [pl.DataFrame(schema=QUARANTINE_SCHEMA)]
    rows, refused = 0, Counter[str]()
    fields: set[str] = set()
    for block in iter_blocks(source, settings.max_line_bytes):
        refusals = Refusals.of(source.name, block.oversized)
        found = list(valid_rows(PROFILE, block, settings.max_line_bytes, refusals))
        fields.update(*(row for _, _, row in found))
        if len(fields) > MAX_FIELDS:
            raise CorpusFileError(
                source, f"has more than {MAX_FIELDS} fields", "Give a file of user profiles"
            )
        frames.append(_block_frame([n for n, _, _ in found], [row for _, _, row in found]))
        refused_frames.append(refusals.frame().sort("line"))
        rows += len(found)
        refused.update(refusals.reasons)
    if not rows + refused.total():
        raise no_rows(source)
    everyone = pl.concat(frames, how="diagonal").sort(LINE)
    users = everyone.unique("user_id", keep="first", maintain_order=True).sort("user_id")
    columns = [_column(users, field) for field in sorted(fields - {"user_id"})]
    with atomic_path(target) as draft, atomic_path(quarantine) as refused_draft:
        kept = users.select("user_id", *(column for column in columns if column is not None))
        write_rows(kept, draft, "lz4")
        write_rows(pl.concat(refused_frames), refused_draft, "lz4")
    return Intake(
        rows=rows + refused.total(),
        kept=len(users),
        duplicates=rows - len(users),
        refused=dict(refused.most_common()),
    )


def _block_frame(lines: list[int], rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """One block with two columns per field: what is a number in it, and what is a string."""
    columns: dict[str, pl.Series] = {
        "user_id": pl.Series([row["user_id"] for row in rows], dtype=pl.String),
        LINE: pl.Series(lines, dtype=pl.Int64),
    }
    for field in dict.fromkeys(name for row in rows for name in row if name != "user_id"):
        values = [row.get(field) for row in rows]
        numbers = [v for v in values if isinstance(v, int | float)]
        if numbers:
            columns[_NUMBER + field] = pl.Series([_number(v) for v in values], dtype=pl.Float32)
        strings = [(clean_text(v) or None) if isinstance(v, str) else None for v in values]
        columns[_STRING + field] = pl.Series(strings, dtype=pl.String)
    return pl.DataFrame(columns)


def _number(value: Any) -> float | None:
    """Return ``value`` as float; None for what is no number, or none that Float32 can hold."""
    if not isinstance(value, int | float) or not abs(value) < 3.4e38:
        return None
    return float(value) if math.isfinite(value) else None


def _column(users: pl.DataFrame, field: str) -> pl.Series | None:
    """Return the column of a field, or None for a field that holds nothing."""
    strings = users[_STRING + field]
    if _NUMBER + field in users.columns:
        parsed = strings.cast(pl.Float32, strict=False)
        finite = pl.select(pl.when(parsed.is_finite()).then(parsed)).to_series()
        return users[_NUMBER + field].fill_null(finite).alias(field)
    return None if strings.null_count() == len(users) else strings.alias(field)
