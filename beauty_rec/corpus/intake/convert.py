"""One block of lines: validated rows to a part file, refused rows to a quarantine part."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import TypeAdapter, ValidationError

from beauty_rec.corpus.intake.blocks import Block
from beauty_rec.corpus.intake.refusals import TOO_LONG, excerpt_of, reason_of
from beauty_rec.corpus.intake.rows import item_frame, review_frame
from beauty_rec.corpus.schema import ITEM, QUARANTINE_SCHEMA, REVIEW
from beauty_rec.corpus.times import timestamp_fault

Kind = Literal["reviews", "items"]

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Before the first line of some files, and within those that were joined of them."""
LINE = "line"
"""Column of a part file: where the row stood, so that the first of duplicates can be kept."""
_PART_ROWS_PER_GROUP = 1024
IN_THE_FUTURE = "in the future"
"""How the reason ends that holds only until that time has come."""

_ADAPTERS: dict[Kind, TypeAdapter[Any]] = {"reviews": REVIEW, "items": ITEM}
_FRAMES: dict[Kind, Callable[[Sequence[dict[str, Any]]], pl.DataFrame]] = {
    "reviews": review_frame,
    "items": item_frame,
}
SORT_KEYS: dict[Kind, list[str]] = {
    "reviews": ["timestamp", "review_id"],
    "items": ["parent_asin"],
}


@dataclass(frozen=True)
class Rules:
    """What holds for every block of a file."""

    kind: Kind
    file: str
    now_ms: int
    max_line_bytes: int
    compression: Literal["uncompressed", "lz4"] = "uncompressed"
    """Of the parts: of those that live for seconds none."""


@dataclass
class Refusals:
    """The refused rows of a block."""

    file: str
    lines: list[int]
    reasons: list[str]
    excerpts: list[str]

    @classmethod
    def of(cls, file: str, oversized: Sequence[tuple[int, bytes]] = ()) -> "Refusals":
        """Start with the lines that the reader already skipped."""
        refusals = cls(file, [], [], [])
        for number, head in oversized:
            refusals.add(number, TOO_LONG, head)
        return refusals

    def add(self, number: int, reason: str, line: bytes) -> None:
        """Refuse one line."""
        self.lines.append(number)
        self.reasons.append(reason)
        self.excerpts.append(excerpt_of(line))

    def frame(self) -> pl.DataFrame:
        """Return the rows of the quarantine file."""
        columns = [[self.file] * len(self.lines), self.lines, self.reasons, self.excerpts]
        return pl.DataFrame(dict(zip(QUARANTINE_SCHEMA, columns, strict=True)), QUARANTINE_SCHEMA)


def valid_rows(
    adapter: TypeAdapter[Any], block: Block, max_line_bytes: int, refusals: Refusals
) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    """Yield (line number, line, row) of every valid line; put the others into ``refusals``.

    Blank lines are neither.
    """
    validate = adapter.validator.validate_json
    for number, line in enumerate(block.data.split(b"\n"), block.first_line):
        line = line.removeprefix(BYTE_ORDER_MARK)
        if len(line) > max_line_bytes:
            refusals.add(number, TOO_LONG, line)
            continue
        try:
            row = validate(line)
        except ValidationError as error:
            if line and not line.isspace():
                refusals.add(number, reason_of(error, line), line)
        else:
            yield number, line, row


def convert_block(
    rules: Rules, block: Block, part: Path, quarantine: Path
) -> tuple[int, Counter[str]]:
    """Write the valid rows of a block to ``part`` and the refused ones to ``quarantine``.

    A file of no rows is not written. Returns (valid rows, refused rows by reason).
    """
    refusals = Refusals.of(rules.file, block.oversized)
    numbers: list[int] = []
    rows: list[dict[str, Any]] = []
    adapter = _ADAPTERS[rules.kind]
    for number, line, row in valid_rows(adapter, block, rules.max_line_bytes, refusals):
        if rules.kind == "reviews" and (fault := timestamp_fault(row["timestamp"], rules.now_ms)):
            refusals.add(number, f"timestamp: {fault}", line)
        else:
            numbers.append(number)
            rows.append(row)
    if rows:
        frame = _FRAMES[rules.kind](rows).with_columns(pl.Series(LINE, numbers, dtype=pl.Int64))
        # Sorted in small groups, so that a reader of one key range can skip the rest.
        frame.sort(SORT_KEYS[rules.kind]).write_parquet(
            part, compression=rules.compression, row_group_size=_PART_ROWS_PER_GROUP
        )
    if refusals.lines:
        refusals.frame().sort("line").write_parquet(quarantine)
    return len(rows), Counter(refusals.reasons)
