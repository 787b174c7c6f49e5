"""What was computed before for the same content by the same code and model, not computed again.

A row's key is a hash of all that its result depends on in the row; ``maker`` stands for all else:
code, settings, weights. Rows may move between files, splits and runs. Losing the folder costs
time, nothing else: it is a cache. A file that is not what was written is dropped with a warning.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import atomic_path, content_hash, write_text_atomic

LOG = logging.getLogger("beauty_rec.cache")
KEY, MAKER, UNUSED = "reuse_key", "reuse_maker", "reuse_unused"
KEEP_UNUSED = 3
"""Times that a file is written anew with a row that was not asked for, before it is dropped."""


def content_keys(rows: Iterable[object]) -> list[str]:
    """Return 24 hex digits for each row: of its ``repr``, so any plain values will do.

    >>> content_keys([("a", 1), ("a", 1)])[0] == content_keys([("a", 1)])[0]
    True
    """
    return [hashlib.blake2b(repr(row).encode(), digest_size=12).hexdigest() for row in rows]


def maker_of(*parts: object) -> str:
    """Return 24 hex digits that stand for what makes the rows."""
    return content_keys([parts])[0]


def reuse_vectors(
    folder: Path,
    maker: str,
    keys: Sequence[str],
    compute: Callable[[list[int]], NDArray[np.float32]],
) -> tuple[NDArray[np.float32], int]:
    """Return the vector of each key and how many were computed.

    Args:
        folder: of the cache; afterwards it holds the vectors of ``keys`` and no others.
        maker: of the vectors; those of another maker are dropped.
        keys: of the rows.
        compute: rows (places in ``keys``) → float32 ``[len(rows), D]``; not called for no rows.
    """
    known, kept = _load_vectors(folder, maker)
    missing = [row for row, key in enumerate(keys) if key not in known]
    if not missing and kept is not None:
        computed = np.empty((0, kept.shape[1]), np.float32)
    else:
        computed = compute(missing)
    matrix = np.empty((len(keys), computed.shape[1]), np.float32)
    matrix[missing] = computed
    found = [(row, known[key]) for row, key in enumerate(keys) if key in known]
    if found and kept is not None:
        rows, places = np.array(found).T
        matrix[rows] = kept[places]
    with atomic_path(folder) as draft:
        draft.mkdir()
        np.save(draft / "vectors.npy", matrix)
        document = {"maker": maker, "keys": list(keys)}
        check = _check(document, draft / "vectors.npy")
        (draft / "keys.json").write_text(json.dumps({**document, "check": check}))
    return matrix, len(missing)


def _load_vectors(folder: Path, maker: str) -> tuple[dict[str, int], NDArray[np.float32] | None]:
    if not folder.exists():
        return {}, None
    try:
        kept = json.loads((folder / "keys.json").read_text())
        if kept.pop("check") != _check(kept, folder / "vectors.npy"):
            raise ValueError("not what was written")
        vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        _drop(folder, error)
        return {}, None
    if kept["maker"] != maker:
        return {}, None
    return {key: row for row, key in enumerate(kept["keys"])}, vectors


def _check(document: Mapping[str, object], vectors: Path) -> str:
    return content_keys([(sorted(document.items()), content_hash(vectors))])[0]


def _drop(path: Path, error: Exception) -> None:
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
    found_parts = [_read_rows(path, maker) for path in sorted(folder.glob("*.parquet"))]
    parts = [part for part in found_parts if part is not None and part.height]
    known = pl.concat(parts).unique(KEY, keep="first", maintain_order=True) if parts else None
    missing = keys if known is None else keys.filter(~keys.is_in(known[KEY].implode()))
    rows = list(range(len(keys)))
    if known is not None:
        rows = keys.is_in(missing.implode()).arg_true().to_list()
    computed = compute(rows).with_columns(
        pl.Series(KEY, keys.gather(rows), dtype=pl.String),
        pl.lit(maker).alias(MAKER),
        pl.lit(0, dtype=pl.Int32).alias(UNUSED),
    )
    fresh = computed if worth_keeping is None else computed.filter(worth_keeping)
    columns = [name for name in computed.columns if name not in (KEY, MAKER, UNUSED)]
    everything = (
        computed if known is None else pl.concat([computed, known.select(computed.columns)])
    )
    everything = everything.unique(KEY, keep="first", maintain_order=True)
    found = pl.DataFrame({KEY: keys}).join(everything, on=KEY, how="left", maintain_order="left")
    used = everything.join(pl.DataFrame({KEY: keys.unique()}), on=KEY, how="semi")
    if worth_keeping is not None and fresh.height < computed.height:
        dropped = computed.join(fresh.select(KEY), on=KEY, how="anti").select(KEY)
        used = used.join(dropped, on=KEY, how="anti")
    used = used.with_columns(pl.lit(0, dtype=pl.Int32).alias(UNUSED))
    _write_rows(folder / f"{name}.parquet", used, maker)
    return found.select(columns), len(rows)


def _sum_of(path: Path) -> Path:
    """Return where the hash of a file of rows stands."""
    return path.with_suffix(".sum")


def _read_rows(path: Path, maker: str) -> pl.DataFrame | None:
    """Return the rows of a file that ``maker`` made; None, and no file, if it is damaged."""
    try:
        if _sum_of(path).read_text() != content_hash(path):
            raise ValueError("not what was written")
        return pl.read_parquet(path, glob=False).filter(pl.col(MAKER) == maker)
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        _drop(path, error)
        return None


def _write_rows(path: Path, used: pl.DataFrame, maker: str) -> None:
    kept = [used]
    old = _read_rows(path, maker) if path.exists() else None
    if old is not None:
        old = old.join(used.select(KEY), on=KEY, how="anti").with_columns(pl.col(UNUSED) + 1)
        old = old.filter(pl.col(UNUSED) <= KEEP_UNUSED)
        if old.height:
            kept.append(old.select(used.columns))
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as draft:
        pl.concat(kept).write_parquet(draft, compression="zstd")
    write_text_atomic(_sum_of(path), content_hash(path))
