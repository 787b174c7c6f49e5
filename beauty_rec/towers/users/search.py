"""The top candidates of each request, by exact search.

The item index answers the same question at scale; this is what it is measured against.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.search.exact import unseen_scores
from beauty_rec.search.near_ties import smooth_ranks
from beauty_rec.search.top import top_k

TIE = 2e-2
"""Inner products closer than this share a rank in part."""


def user_candidates(
    user_vectors: NDArray[np.float32],
    matrix: NDArray[np.float32],
    seen: Sequence[NDArray[np.int64]],
    k: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the ``k`` best unseen items of each user: rows int64 and scores float32 ``[B, k]``.

    Best first, equal scores by row. Where fewer than ``k`` are left, -1 and -inf fill the end.

    Args:
        user_vectors: ``[B, W]``.
        matrix: ``[N, W]``.
        seen: per user the rows that are left out.
        k: any size; more than the catalogue gives the whole catalogue, filled up.
    """
    items = np.full((len(user_vectors), k), -1, np.int64)
    scores = np.full((len(user_vectors), k), -np.inf, np.float32)
    width = min(k, len(matrix))
    for rows, block in unseen_scores(user_vectors, matrix, seen):
        items[rows, :width], scores[rows, :width] = top_k(block, width)
    return items, scores


def tower_ranks(falling: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the ranks, from 1, of scores [n] among the best scores of the unseen items.

    Near ties share a rank in part; whatever is below all of ``falling`` has the place after it.
    """
    return smooth_ranks(falling, scores, TIE)


def candidates_frame(
    review_ids: Sequence[str],
    items: NDArray[np.int64],
    scores: NDArray[np.float32],
    item_ids: Sequence[str],
) -> pl.DataFrame:
    """Return one row per candidate: review_id, parent_asin, rank (i32, from 1), score (f32)."""
    row, place = np.nonzero(items >= 0)
    return pl.DataFrame(
        {
            "review_id": pl.Series(np.array(review_ids, dtype=object)[row], dtype=pl.String),
            "parent_asin": pl.Series(
                np.array(item_ids, dtype=object)[items[row, place]], dtype=pl.String
            ),
            "rank": (place + 1).astype(np.int32),
            "score": scores[row, place],
        }
    )
