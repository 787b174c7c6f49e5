"""What was computed before for the same content by the same code and model, not computed again.

A row's key is a hash of all that its result depends on in the row; ``maker`` stands for all else:
code, settings, weights. Rows may move between files, splits and runs. Losing the folder costs
time, nothing else: it is a cache. A file that is not what was written is dropped with a warning.
"""

import fcntl
import hashlib
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import atomic_path, content_hash, link_or_copy, write_text_atomic

LOG = logging.getLogger("beauty_rec.cache")
Reuse = Callable[[pl.Series, Callable[[list[int]], pl.DataFrame]], pl.DataFrame]
"""Keys of rows, and what computes some of them: → one row for each key, in order."""
KEY, MAKER, UNUSED = "reuse_key", "reuse_maker", "reuse_unused"
_FILE, _ROW = "reuse_file", "reuse_row"
_HASH, _CHECK = "reuse_hash", "reuse_check"
ROW_GROUP = 8_192
"""Rows of a file that are read together: a batch's are a few of them."""
KEEP_UNUSED = 3
"""Times that a file is written anew with a row that was not asked for, before it is dropped."""


def content_keys(rows: Iterable[object]) -> list[str]:
    """Return 24 hex digits for each row: of its ``repr``, so any plain values will do.

    >>> content_keys([("a", 1), ("a", 1)])[0] == content_keys([("a", 1)])[0]
    True
    """
    return [hashlib.blake2b(repr(row).encode(), digest_size=12).hexdigest() for row in rows]


def nothing_reused(keys: pl.Series, compute: Callable[[list[int]], pl.DataFrame]) -> pl.DataFrame:
    """Return all rows computed."""
    return compute(list(range(len(keys))))


def maker_of(*parts: object) -> str:
    """Return 24 hex digits that stand for what makes the rows."""
    return content_keys([parts])[0]


def drop(path: Path, error: Exception) -> None:
    """Remove a damaged part of a cache, and say so."""
    reason = f"it has no {error}" if isinstance(error, KeyError) else error
    LOG.warning("%s cannot be trusted (%s): dropped, its rows are computed again", path, reason)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
        _sum_of(path).unlink(missing_ok=True)


def reuse_rows(
    folder: Path,
    name: str,
    maker: str,
    keys: pl.Series,
    compute: Callable[[list[int]], pl.DataFrame],
    worth_keeping: pl.Expr | None = None,
) -> tuple[pl.DataFrame, int]:
    """Return one row for each key, in order, and how many were computed.

    Args:
        folder: of the cache, one Parquet file a name. Rows are looked for in the files of all
            names, so that a row that moves from one part of the data to another is found.
        name: of the file that is written anew. A row that it has no use for any more stays for
            ``KEEP_UNUSED`` times: perhaps the part that it moved to is yet to be built.
        maker: of the rows; those of another maker are dropped.
        keys: of the rows, strings.
        compute: rows (places in ``keys``) → one row each, in order; called even for no rows, which
            tells the columns.
        worth_keeping: of the computed rows; others are computed again next time.
    """
    with ReusedRows(folder, name, maker, worth_keeping) as reused:
        return reused.rows(keys, compute), reused.computed


class ReusedRows:
    """:func:`reuse_rows` of one batch of keys after the other, of which only one is in memory.

    What is kept is known by its key and place; the file is written anew at the end of the block.

    Attributes:
        computed: how many rows were computed so far.
    """

    def __init__(
        self, folder: Path, name: str, maker: str, worth_keeping: pl.Expr | None = None
    ) -> None:
        """See :func:`reuse_rows` for the arguments."""
        self._path, self._maker, self._worth_keeping = (
            folder / f"{name}.parquet",
            maker,
            worth_keeping,
        )
        self.computed = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._drafts = TemporaryDirectory(prefix=".rows-", dir=folder)
        # The place of a row: file, and row in it. The files that are written now come last.
        # Another split may be built meanwhile, and its file replaced: links keep what is there now.
        self._files: list[Path] = []
        self._own: Path | None = None
        with _turn(folder, fcntl.LOCK_SH):
            for path in sorted(folder.glob("*.parquet")):
                if _is_sound(path):
                    self._files.append(Path(self._drafts.name) / f"old-{path.name}")
                    link_or_copy(path, self._files[-1])
                    if path == self._path:
                        self._own = self._files[-1]
        self._old = len(self._files)
        self._taken = [self._none_of(number) for number in range(self._old)]
        self._known = Places()
        # Where several have a row, its own file's is the one that is taken.
        for number in sorted(range(self._old), key=lambda n: self._files[n] == self._own):
            self._known.add(self._keys(number))

    def __enter__(self) -> "ReusedRows":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._drafts:
            if kind is None:
                self._write()

    def missing(self, keys: pl.Series) -> list[int]:
        """Return the places in ``keys`` of which no row is known yet."""
        return self._known.of(keys)[_FILE].is_null().arg_true().to_list()

    def rows(self, keys: pl.Series, compute: Callable[[list[int]], pl.DataFrame]) -> pl.DataFrame:
        """Return one row for each of ``keys``, in order; see :func:`reuse_rows`."""
        asked = pl.DataFrame({KEY: keys}, schema={KEY: pl.String})
        places = self._known.of(keys)
        missing = places[_FILE].is_null().arg_true().to_list()
        self.computed += len(missing)
        computed = compute(missing)
        columns = computed.columns
        computed = computed.with_columns(
            pl.Series(KEY, keys.gather(missing), dtype=pl.String),
            pl.lit(self._maker).alias(MAKER),
            pl.lit(0, dtype=pl.Int32).alias(UNUSED),
        )
        wanted = places.drop_nulls(_FILE).unique([_FILE, _ROW], maintain_order=True)
        kept = [
            self._read(int(number), part[_ROW]).select(computed.columns)
            for (number,), part in wanted.partition_by(_FILE, as_dict=True).items()
        ]
        everything = pl.concat([computed, *kept]).unique(KEY, keep="first", maintain_order=True)
        self._keep(everything, computed, wanted)
        found = asked.join(everything, on=KEY, how="left", maintain_order="left")
        return found.select(columns)

    def _keys(self, number: int) -> pl.DataFrame:
        rows = pl.scan_parquet(self._files[number], glob=False, row_index_name=_ROW)
        rows = rows.filter(pl.col(MAKER) == self._maker).with_columns(
            pl.lit(number, dtype=pl.UInt32).alias(_FILE), pl.col(_ROW).cast(pl.UInt32)
        )
        return rows.select(KEY, _FILE, _ROW).collect()

    def _read(self, number: int, rows: pl.Series) -> pl.DataFrame:
        """Return rows of a file; those of a batch mostly stand together."""
        first, last = int(rows.min()), int(rows.max())  # type: ignore[arg-type]
        part = pl.scan_parquet(self._files[number], glob=False).slice(first, last - first + 1)
        return part.collect()[rows.cast(pl.Int64) - first]

    def _none_of(self, number: int) -> NDArray[np.bool_]:
        """Return a mark for each row of a file: that it is written again already."""
        rows = pl.scan_parquet(self._files[number], glob=False).select(pl.len()).collect().item()
        return np.zeros(rows, np.bool_)

    def _keep(self, rows: pl.DataFrame, computed: pl.DataFrame, wanted: pl.DataFrame) -> None:
        """Write the rows that are not written yet; those that are not worth it stay unknown.

        Those of before keep their places until the end.
        """
        written = [wanted.filter(pl.col(_FILE) >= self._old).select(KEY)]
        for (number,), part in wanted.partition_by(_FILE, as_dict=True).items():
            if number < self._old:
                places = part[_ROW].to_numpy()
                written.append(part.filter(self._taken[number][places]).select(KEY))
                self._taken[number][places] = True
        if self._worth_keeping is not None:
            written.append(computed.filter(~self._worth_keeping).select(KEY))
        rows = rows.join(pl.concat(written), on=KEY, how="anti", maintain_order="left")
        self._files.append(Path(self._drafts.name) / f"{len(self._files):06d}.parquet")
        rows = rows.with_columns(pl.lit(0, dtype=pl.Int32).alias(UNUSED))
        rows.write_parquet(self._files[-1], compression="lz4")
        own = rows.with_row_index(_ROW).join(computed, on=KEY, how="semi")
        self._known.add(
            own.select(
                KEY,
                pl.lit(len(self._files) - 1, dtype=pl.UInt32).alias(_FILE),
                pl.col(_ROW).cast(pl.UInt32),
            )
        )

    def _write(self) -> None:
        """Write the file anew: the rows of this time, then those that may be asked for again."""
        parts = [pl.scan_parquet(path, glob=False) for path in self._files[self._old :]]
        if self._own is not None and parts:
            left = pl.Series(~self._taken[self._files.index(self._own)]).arg_true()
            rows = pl.scan_parquet(self._own, glob=False, row_index_name=_ROW)
            rows = rows.filter(pl.col(_ROW).is_in(left.implode()), pl.col(MAKER) == self._maker)
            rows = rows.drop(_ROW).with_columns(pl.col(UNUSED) + 1)
            parts.append(rows.filter(pl.col(UNUSED) <= KEEP_UNUSED))
        if not parts:
            return
        made = Path(self._drafts.name) / "new.parquet"
        whole = pl.concat(parts, how="diagonal")
        whole.sink_parquet(made, compression="zstd", compression_level=1, row_group_size=ROW_GROUP)
        with _turn(self._path.parent, fcntl.LOCK_EX):
            with atomic_path(self._path) as draft:
                made.replace(draft)
            write_text_atomic(_sum_of(self._path), content_hash(self._path))


class Places:
    """Where rows stand, by key: a file, and a row in it.

    Sorted runs, merged as they grow: to look some keys up, or to add some, takes no pass over all
    that are known (a log-structured merge, O'Neil et al. 1996). Of a key two hashes are kept, by
    the first of which it is found: numbers are sorted and compared in less time than texts.
    """

    def __init__(self) -> None:
        self._runs: list[pl.DataFrame] = []

    def add(self, rows: pl.DataFrame) -> None:
        """Take rows in; they take the place of those of the same keys.

        Args:
            rows: ``reuse_key``, ``reuse_file``, ``reuse_row``; each key once.
        """
        if not rows.height:
            return
        self._runs.append(_hashed(rows).drop(KEY).sort(_HASH).rechunk())
        while len(self._runs) > 1 and self._runs[-2].height < 2 * self._runs[-1].height:
            later, earlier = self._runs.pop(), self._runs.pop()
            earlier = earlier.join(later, on=[_HASH, _CHECK], how="anti", maintain_order="left")
            self._runs.append(earlier.merge_sorted(later, _HASH).rechunk())

    def of(self, keys: pl.Series) -> pl.DataFrame:
        """Return the keys, in their order, with the place of each; null for an unknown one."""
        asked = _hashed(pl.DataFrame({KEY: keys}, schema={KEY: pl.String}))
        found = asked.select(
            KEY,
            pl.lit(None, dtype=pl.UInt32).alias(_FILE),
            pl.lit(None, dtype=pl.UInt32).alias(_ROW),
        )
        for run in self._runs:
            nearest = run[run[_HASH].search_sorted(asked[_HASH], "left").clip(0, run.height - 1)]
            known = (nearest[_HASH] == asked[_HASH]) & (nearest[_CHECK] == asked[_CHECK])
            found = found.with_columns(
                nearest[name].zip_with(known, found[name]) for name in (_FILE, _ROW)
            )
        return found


def _hashed(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with the hashes of their keys, which are others in other versions of Polars."""
    key = pl.col(KEY)
    return rows.with_columns(key.hash(0).alias(_HASH), key.hash(1).alias(_CHECK))


@contextmanager
def _turn(folder: Path, kind: int) -> Iterator[None]:
    """Hold the lock of a cache, so that nobody reads a file between it and its hash."""
    with (folder / "rows.lock").open("w") as opened:
        fcntl.flock(opened, kind)
        yield


def _sum_of(path: Path) -> Path:
    """Return where the hash of a file of rows stands."""
    return path.with_suffix(".sum")


def _is_sound(path: Path) -> bool:
    """Tell whether a file holds what was written; a damaged one is dropped."""
    try:
        if _sum_of(path).read_text() != content_hash(path):
            raise ValueError("not what was written")
        if not {KEY, MAKER, UNUSED} <= set(pl.read_parquet_schema(path)):
            raise ValueError("not a file of rows")
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        drop(path, error)
        return False
    return True
