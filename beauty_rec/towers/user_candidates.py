"""The top candidates of each request, and the ranks of known answers, by exact search.

The item index answers the same question at scale; this is what it is measured against.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.indexes.ties import smooth_ranks

CHUNK = 512
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
    for start, block in _scores(user_vectors, matrix, seen):
        best = np.argsort(-block, axis=1, kind="stable")[:, :width]
        found = np.take_along_axis(block, best, axis=1)
        rows = slice(start, start + len(block))
        items[rows, :width] = np.where(np.isfinite(found), best, -1)
        scores[rows, :width] = found
    return items, scores


def answer_ranks(
    user_vectors: NDArray[np.float32],
    matrix: NDArray[np.float32],
    seen: Sequence[NDArray[np.int64]],
    answers: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return float64 ``[B]``: the rank (from 1) of each answer among the unseen items.

    Items of one score share their mean rank. An answer of -1 (an item without a row) ranks inf, and
    so does one whose score is NaN: a tower that has diverged finds nothing.
    """
    ranks = np.full(len(answers), np.inf)
    for start, block in _scores(user_vectors, matrix, seen):
        answer = answers[start : start + len(block)]
        own = np.take_along_axis(block, answer.clip(0)[:, None], axis=1)
        mean = (block > own).sum(axis=1) + ((block == own).sum(axis=1) + 1) / 2
        found = (answer >= 0) & ~np.isnan(own[:, 0])
        ranks[start : start + len(block)] = np.where(found, mean, np.inf)
    return ranks


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


def _scores(
    user_vectors: NDArray[np.float32],
    matrix: NDArray[np.float32],
    seen: Sequence[NDArray[np.int64]],
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield (first row, ``[b, N]`` scores) chunk by chunk; seen items score -inf.

    Equal rows are multiplied once: a matrix product may round them unequally, depending on where
    they stand, and items that nothing tells apart must stay ties.
    """
    rows = np.ascontiguousarray(matrix).view(f"V{matrix.itemsize * matrix.shape[1]}")[:, 0]
    _, first, place = np.unique(rows, return_index=True, return_inverse=True)
    distinct = np.ascontiguousarray(matrix[first].T)
    for start in range(0, len(user_vectors), CHUNK):
        block = (user_vectors[start : start + CHUNK] @ distinct)[:, place]
        for row, items in enumerate(seen[start : start + CHUNK]):
            block[row, items] = -np.inf
        yield start, block
