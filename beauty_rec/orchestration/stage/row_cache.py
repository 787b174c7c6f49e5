"""Rows that assets take over from their last run: see :mod:`beauty_rec.row_cache`.

Rows are made anew when their content, the asset's code or settings, or the model changed.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import content_hash
from beauty_rec.orchestration.stage.stage import used_code_version
from beauty_rec.row_cache import content_keys, maker_of, reuse_rows, reuse_vectors
from beauty_rec.settings import Settings


def reused_vectors(
    context: dg.AssetExecutionContext,
    settings: Settings,
    model: str | Path,
    contents: Sequence[object],
    compute: Callable[[list[int]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Return float32 ``[len(contents), D]``, computing only what is new or changed.

    Args:
        context: of the asset; the cache and the maker have its name and code version.
        settings: of the run.
        model: its folder, whose content counts, or its name.
        contents: what each vector depends on, plain values.
        compute: places in ``contents`` → vectors.
    """
    # A folder by its content: a model that was trained anew to the same weights is the same.
    folder = Path(model)
    maker = maker_of(
        used_code_version(context), content_hash(folder) if folder.is_dir() else str(model)
    )
    cache = settings.data_dir / "cache" / context.asset_key.to_user_string()
    vectors, computed = reuse_vectors(cache, maker, content_keys(contents), compute)
    _tell(context, computed, len(contents))
    return vectors


def reused_keywords(
    context: dg.AssetExecutionContext,
    settings: Settings,
    source: str,
    reviews: pl.DataFrame,
    extract: Callable[[pl.DataFrame], pl.DataFrame],
) -> pl.DataFrame:
    """Return the keywords of ``reviews``, extracting only of texts that were not read before.

    Args:
        context: of the asset, one split of it.
        settings: of the run.
        source: of the extractor; rows that a fallback read are read again next time.
        reviews: ``review_id``, ``parent_asin``, ``title``, ``text``.
        extract: some of the rows → the columns of ``keywords``, in order.
    """
    texts = reviews.select("title", "text").iter_rows()
    found, computed = reuse_rows(
        settings.data_dir / "cache" / context.asset_key.to_user_string(),
        context.partition_key,
        maker_of(used_code_version(context), source),
        pl.Series(content_keys(texts), dtype=pl.String),
        lambda rows: extract(reviews[rows]),
        pl.col("source") == source,
    )
    _tell(context, computed, reviews.height)
    # The same words may be another review's, of another item.
    names = reviews.select("review_id", "parent_asin")
    return found.with_columns(names.get_columns())


def _tell(context: dg.AssetExecutionContext, computed: int, rows: int) -> None:
    context.add_asset_metadata({"rows_computed": computed, "rows_reused": rows - computed})
