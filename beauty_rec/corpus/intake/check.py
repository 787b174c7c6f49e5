"""Validation of input files that leaves nothing behind (`beauty-rec data check`)."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from beauty_rec.corpus.intake.ingest import Intake, ingest_items, ingest_reviews
from beauty_rec.corpus.intake.profiles import ingest_profiles
from beauty_rec.settings import CorpusSettings

FileKind = Literal["reviews", "items", "profiles"]
_INGEST: dict[FileKind, Callable[[Path, Path, Path, CorpusSettings], Intake]] = {
    "reviews": ingest_reviews,
    "items": ingest_items,
    "profiles": ingest_profiles,
}


def check_file(kind: FileKind, source: Path, settings: CorpusSettings) -> Intake:
    """Return what an intake of ``source`` would keep and refuse.

    It is the real intake, into a temporary folder that is deleted: the counts cannot differ.

    Args:
        kind: "reviews", "items" or "profiles".

    Raises:
        CorpusFileError: the file cannot be read as a whole, or holds no rows.
        KeyError: another ``kind``.
    """
    ingest = _INGEST[kind]
    with TemporaryDirectory(prefix="beauty-rec-check-") as folder:
        return ingest(source, Path(folder, "rows.parquet"), Path(folder, "q.parquet"), settings)


def too_many_refused(intake: Intake, settings: CorpusSettings) -> bool:
    """Whether the refused share is above the limit that stops a run (5% unless set)."""
    return intake.refused_share > settings.max_refused_share


def describe(intake: Intake) -> str:
    """Return the counts as text: totals on the first line, then one line for every reason.

    >>> print(describe(Intake(10, 7, 1, {"rating: not in 1..5": 2})))
    10 rows: 7 kept, 1 duplicates, 2 refused (20.00%)
           2  rating: not in 1..5
    """
    lines = [
        f"{intake.rows:,} rows: {intake.kept:,} kept, {intake.duplicates:,} duplicates, "
        f"{intake.refused_rows:,} refused ({intake.refused_share:.2%})"
    ]
    lines += [f"{count:>8,}  {reason}" for reason, count in intake.refused.items()]
    return "\n".join(lines)
