"""Rows that assets take over from their last run: see :mod:`beauty_rec.row_cache`.

Rows are made anew when their content, the asset's code or settings, or the model changed.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import content_hash, write_rows
from beauty_rec.orchestration.stage.ray_data import Work, spread
from beauty_rec.orchestration.stage.stage import used_code_version
from beauty_rec.row_cache import Reuse, ReusedRows, content_keys, maker_of
from beauty_rec.settings import Settings
from beauty_rec.vector_cache import CHUNK, reuse_vectors

BATCH_ROWS = 50_000
"""Reviews that are read at a time."""


def reused_vectors(
    context: dg.AssetExecutionContext,
    settings: Settings,
    model: str | Path,
    contents: Iterable[object],
    compute: Callable[[Iterable[list[int]]], Iterable[NDArray[np.float32]]],
    *made_with: object,
    chunk: int = CHUNK,
    kind: str = "",
) -> NDArray[np.float32]:
    """Return float32 ``[len(contents), D]``, computing only what is new or changed.

    Computed chunks outlive a kill.

    Args:
        context: of the asset; the cache and the maker have its name and code version.
        settings: of the run.
        model: its folder, whose content counts, or its name.
        contents: what each vector depends on, plain values.
        compute: chunks of places in ``contents`` → the vectors of each chunk.
        made_with: what else the vectors depend on, plain values.
        chunk: places that are computed together.
        kind: of the vectors, of an asset that has several.
    """
    keys = content_keys(contents)
    maker = maker_for(context, model, *made_with)
    cache = cache_of(context, settings, kind)
    vectors, computed = reuse_vectors(cache, maker, keys, compute, chunk)
    _tell(context, computed, len(keys))
    return vectors


@contextmanager
def reused_rows(
    context: dg.AssetExecutionContext, settings: Settings, model: str | Path, *made_with: object
) -> Iterator[Reuse]:
    """Yield what takes rows over, from the last run and within the block; arguments as above."""
    cache, maker = cache_of(context, settings), maker_for(context, model, *made_with)
    with ReusedRows(cache, "rows", maker) as reused:
        asked = 0

        def rows(keys: pl.Series, compute: Callable[[list[int]], pl.DataFrame]) -> pl.DataFrame:
            nonlocal asked
            asked += len(keys)
            return reused.rows(keys, compute)

        yield rows
        _tell(context, reused.computed, asked)


def reused_keywords(
    context: dg.AssetExecutionContext,
    settings: Settings,
    source: str,
    reviews: pl.LazyFrame,
    reader: Callable[..., Work],
    arguments: tuple[object, ...],
    target: Path,
) -> None:
    """Write the keywords of ``reviews``, extracting only of texts that were not read before.

    Some ten thousand reviews are in memory at a time.

    Args:
        context: of the asset, one split of it.
        settings: of the run.
        source: of the extractor; rows that a fallback read are read again next time.
        reviews: ``review_id``, ``parent_asin``, ``title``, ``text``.
        reader, arguments: ``reader(*arguments)`` makes of some of the rows the columns of
            ``keywords``, in order; on Ray, in processes elsewhere.
        target: the Parquet file.
    """
    reviews = reviews.select("review_id", "parent_asin", "title", "text")
    rows = 0
    with (
        TemporaryDirectory(prefix=".keywords-", dir=target.parent) as folder,
        ReusedRows(
            cache_of(context, settings),
            context.partition_key,
            maker_of(used_code_version(context), source),
            pl.col("source") == source,
        ) as reused,
    ):
        parts: list[Path] = []
        read = _reading(settings, reader, arguments, reviews, reused)
        for batch in _batches(reviews):
            found = reused.rows(_keys(batch), partial(_read, read, batch))
            # The same words may be another review's, of another item.
            names = batch.select("review_id", "parent_asin")
            parts.append(Path(folder) / f"{len(parts):06d}.parquet")
            found.with_columns(names.get_columns()).write_parquet(parts[-1], compression="lz4")
            rows += batch.height
        whole = pl.scan_parquet(parts, glob=False)
        write_rows(whole, target)
        _tell(context, reused.computed, rows)


def cache_of(context: dg.AssetExecutionContext, settings: Settings, kind: str = "") -> Path:
    """Return where an asset keeps rows, those of each ``kind`` for themselves."""
    name = context.asset_key.to_user_string() + (f"-{kind}" if kind else "")
    return Path(settings.data_dir, "cache", name)


def maker_for(context: dg.AssetExecutionContext, model: str | Path, *made_with: object) -> str:
    """Return what stands for the asset's code and settings, a model and what else is given."""
    # A folder by its content: a model that was trained anew to the same weights is the same.
    # Its path is whole: whatever else has a name that a folder here has, too, is not that folder.
    folder = Path(model)
    own = folder.is_absolute() and folder.is_dir()
    content = content_hash(folder) if own else str(model)
    return maker_of(used_code_version(context), content, *made_with)


def _reading(
    settings: Settings,
    reader: Callable[..., Work],
    arguments: tuple[object, ...],
    reviews: pl.LazyFrame,
    reused: ReusedRows,
) -> Work:
    """Return what reads the rows of a batch after the other; on Ray they were handed out before."""
    if settings.execution.executor != "ray":
        return reader(*arguments)
    handed = spread(settings, _unread(reviews, reused), reader, *arguments)
    return lambda _: next(handed)


def _read(read: Work, batch: pl.DataFrame, rows: list[int]) -> pl.DataFrame:
    return read(batch[rows])


def _batches(reviews: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Yield some rows after the other; of no reviews, one batch of none."""
    none = True
    for batch in reviews.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True):
        none = False
        yield batch
    if none:
        yield reviews.clear().collect()


def _keys(batch: pl.DataFrame) -> pl.Series:
    return pl.Series(content_keys(batch.select("title", "text").iter_rows()), dtype=pl.String)


def _unread(reviews: pl.LazyFrame, reused: ReusedRows) -> Iterator[pl.DataFrame]:
    """Yield of each batch the rows that are known neither from before nor from a batch before."""
    seen: set[str] = set()
    for batch in _batches(reviews):
        keys = _keys(batch)
        rows = [row for row in reused.missing(keys) if keys[row] not in seen]
        seen.update(keys[row] for row in rows)
        yield batch[rows]


def _tell(context: dg.AssetExecutionContext, computed: int, rows: int) -> None:
    context.add_asset_metadata({"rows_computed": computed, "rows_reused": rows - computed})
