"""From an input file to a validated, deduplicated, sorted Parquet file and its quarantine.

>>> intake = ingest_reviews(Path("r.jsonl.gz"), Path("r.parquet"), Path("refused.parquet"),
...                         settings.corpus)                               # doctest: +SKIP
>>> intake.kept, intake.duplicates, intake.refused                         # doctest: +SKIP
(7001, 161, {'rating: not in 1..5': 2})
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from beauty_rec.artifacts import atomic_path
from beauty_rec.corpus.intake.blocks import Block, iter_blocks
from beauty_rec.corpus.intake.convert import SORT_KEYS, Kind, Rules
from beauty_rec.corpus.intake.errors import CorpusFileError
from beauty_rec.corpus.intake.kept_parts import KeptParts
from beauty_rec.corpus.intake.merge import merge_parts, merge_quarantine
from beauty_rec.corpus.intake.pool import convert_blocks, targets
from beauty_rec.corpus.schema import ITEM_SCHEMA, REVIEW_SCHEMA
from beauty_rec.settings import CorpusSettings

_SMALL_FILE_BYTES = 4 << 20
_MAX_WORKERS = 8
_SCHEMAS = {"reviews": REVIEW_SCHEMA, "items": ITEM_SCHEMA}
_KEYS = {"reviews": "review_id", "items": "parent_asin"}


@dataclass(frozen=True)
class Intake:
    """What became of the rows of a file: kept + duplicates + refused rows = rows.

    ``refused`` counts rows by reason, most frequent first. Duplicates are no fault: of rows with
    the same key the first was kept.
    """

    rows: int
    kept: int
    duplicates: int
    refused: dict[str, int]

    @property
    def refused_rows(self) -> int:
        """How many rows are in the quarantine."""
        return sum(self.refused.values())

    @property
    def refused_share(self) -> float:
        """Refused rows as a share of all rows, 0 to 1."""
        return self.refused_rows / self.rows


def ingest_reviews(
    source: Path,
    target: Path,
    quarantine: Path,
    settings: CorpusSettings,
    now_ms: int | None = None,
    kept: KeptParts | None = None,
) -> Intake:
    """Write the valid reviews of ``source`` to ``target`` (`REVIEW_SCHEMA`), sorted by time.

    Refused rows go to ``quarantine`` (`QUARANTINE_SCHEMA`). Both files are replaced at the end or
    not at all, and depend on the input's bytes only. A review dated more than a day after
    ``now_ms`` (Unix ms; default: the clock) is refused. Blocks that ``kept`` knows are not read
    again.

    Raises:
        CorpusFileError: the file cannot be read as a whole, or holds no rows.
    """
    return _ingest("reviews", source, target, quarantine, settings, now_ms, kept)


def ingest_items(
    source: Path,
    target: Path,
    quarantine: Path,
    settings: CorpusSettings,
    kept: KeptParts | None = None,
) -> Intake:
    """Write the valid metadata rows of ``source`` to ``target`` (`ITEM_SCHEMA`), sorted by item.

    Raises:
        CorpusFileError: as `ingest_reviews`.
    """
    return _ingest("items", source, target, quarantine, settings, None, kept)


def _ingest(
    kind: Kind,
    source: Path,
    target: Path,
    quarantine: Path,
    settings: CorpusSettings,
    now_ms: int | None,
    kept: KeptParts | None,
) -> Intake:
    if source.exists() and source.stat().st_size < _SMALL_FILE_BYTES:
        kept = None  # a block or two
    rules = Rules(
        kind,
        source.name,
        time.time_ns() // 1_000_000 if now_ms is None else now_ms,
        settings.max_line_bytes,
        "uncompressed" if kept is None else "lz4",
    )
    blocks = iter_blocks(source, settings.max_line_bytes)
    first = next(blocks, None)  # faults of the file show before anything is written
    workers = _workers(source, settings)
    with (
        atomic_path(target) as draft,
        atomic_path(quarantine) as refused_draft,
        TemporaryDirectory(prefix=".intake-", dir=target.parent) as name,
    ):
        folder = Path(name)
        valid, refused = 0, Counter[str]()
        with tqdm(
            desc=f"reading {source.name}",
            total=source.stat().st_size,
            unit="B",
            unit_scale=True,
            disable=None,
        ) as bar:

            def unread() -> Iterator[tuple[int, Block]]:
                nonlocal valid, refused
                for number, block in enumerate(chain([] if first is None else [first], blocks)):
                    files = targets(folder, number)
                    known = None if kept is None else kept.take(rules, block, *files)
                    if known is None:
                        yield number, block
                        continue
                    valid += known[0]
                    refused += known[1]
                    bar.update(block.position - bar.n)

            for number, block, rows, reasons in convert_blocks(rules, unread(), folder, workers):
                valid += rows
                refused += reasons
                if kept is not None:
                    kept.keep(rules, block, (rows, reasons), *targets(folder, number))
                bar.update(max(0, block.position - bar.n))
        if not valid + refused.total():
            raise no_rows(source)
        parts = sorted(folder.glob("part-*"))
        duplicates = merge_parts(parts, draft, _SCHEMAS[kind], _KEYS[kind], SORT_KEYS[kind])
        merge_quarantine(sorted(folder.glob("refused-*")), refused_draft)
    if kept is not None:
        kept.drop_others()
    return Intake(
        valid + refused.total(), valid - duplicates, duplicates, dict(refused.most_common())
    )


def no_rows(source: Path) -> CorpusFileError:
    """Return the error for a file that holds blank lines only."""
    return CorpusFileError(source, "holds no rows", "Download or copy the file again")


def _workers(source: Path, settings: CorpusSettings) -> int:
    if source.stat().st_size < _SMALL_FILE_BYTES:
        return 0  # done sooner than processes start
    if settings.workers is not None:
        return settings.workers
    return min(os.cpu_count() or 1, _MAX_WORKERS)
