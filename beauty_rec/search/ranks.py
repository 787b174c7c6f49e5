"""Ranks in full from exact scores: where the answer of each query stands among all items.

Rank 1 is the best. Items with one score share their mean rank, so a method that cannot tell items
apart gains nothing by their order. An item without a score (no text, no vector, score ``-inf``)
stands behind all scored ones, tied with the other unscored items of the answer set. Seen items
leave the answer set of their query: they take no place at all.

>>> scores = np.array([[0.9, 0.5, 0.5, 0.1]], dtype=np.float32)
>>> ranks_of_answers(scores, np.array([2]))
array([2.5])
>>> ranks_of_answers(scores, np.array([-1]), answer_set_size=7)  # 3 unscored: ranks 5, 6, 7
array([6.])
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from tqdm import tqdm

from beauty_rec.search.exact import unseen_scores

Scores = NDArray[np.float32]
Ranks = NDArray[np.float64]
Indices = NDArray[np.int64]

CHUNK_BYTES = 64 << 20
"""Size of the score matrix held at a time."""


def ranks_of_answers(
    scores: Scores,
    answers: Indices,
    *,
    answer_set_size: int | None = None,
    seen: csr_array | None = None,
    tolerance: float | NDArray[np.float32] = 0.0,
) -> Ranks:
    """Return the rank of each query's answer, float64 ``[Q]``.

    Args:
        scores: float32 ``[Q, N]``, higher is better; ``-inf``: not scored.
        answers: column of each answer, int ``[Q]``; -1: the answer is not among the N.
        answer_set_size: number of items that could be the answer, at least N (default N).
        seen: sparse ``[Q, N]``, non-zero where the item leaves the query's answer set.
        tolerance: scores this close to the answer's tie with it; a number or ``[Q]``.

    Raises:
        ValueError: shapes that do not agree, a NaN score, an answer outside -1..N-1, an answer
            that is seen, or an answer set smaller than N.
    """
    queries, items = scores.shape
    size = items if answer_set_size is None else answer_set_size
    answers = np.asarray(answers, dtype=np.int64)
    if answers.shape != (queries,):
        raise ValueError(f"{answers.shape} answers for scores of shape {scores.shape}")
    if size < items:
        raise ValueError(f"an answer set of {size} cannot hold {items} scored items")
    if queries and (answers.min() < -1 or answers.max() >= items):
        raise ValueError(f"answers must lie between -1 and {items - 1}")
    present = np.full(queries, size, dtype=np.int64)
    if seen is not None:
        scores, left_out = _without_seen(scores, answers, seen)
        present -= left_out
    own = np.full(queries, -np.inf, dtype=np.float32)
    known = answers >= 0
    own[known] = scores[known, answers[known]]
    scored = np.isfinite(own)
    if _with_nan(scores).any():
        raise ValueError("scores hold NaN")
    slack = np.broadcast_to(np.asarray(tolerance, dtype=np.float32), (queries,))
    found = np.empty(queries, dtype=np.float64)
    # Row by row: what one comparison leaves stays in the cache until it is counted.
    for row in np.flatnonzero(scored):
        higher = np.count_nonzero(scores[row] > own[row] + slack[row])
        reached = np.count_nonzero(scores[row] >= own[row] - slack[row])
        found[row] = (higher + reached + 1) / 2
    unscored = np.flatnonzero(~scored)
    finite = np.count_nonzero(scores[unscored] > -np.inf, axis=1)
    found[unscored] = finite + (present[unscored] - finite + 1) / 2
    return found


def ranks_of_static_scores(
    scores: Scores, answers: Indices, seen: csr_array | None = None
) -> Ranks:
    """Return ranks when every query sees the same scores ``[N]``, float64 ``[Q]``.

    Equals :func:`ranks_of_answers` on ``scores`` repeated for each query, in ``N log N`` steps: a
    seen item moves the answer up by one if it scored higher, by a half if it tied.

    Raises:
        ValueError: an answer outside 0..N-1.
    """
    from scipy.stats import rankdata

    if len(answers) and (answers.min() < 0 or answers.max() >= len(scores)):
        raise ValueError(f"answers must lie between 0 and {len(scores) - 1}")
    ranks = rankdata(-scores)[answers] if len(answers) else np.empty(0)
    if seen is None:
        return ranks
    marks = seen.astype(bool).tocoo()
    own = scores[answers[marks.row]]
    theirs = scores[marks.col]
    places = np.where(theirs > own, 1.0, np.where(theirs == own, 0.5, 0.0)) * marks.data
    return ranks - np.bincount(marks.row, weights=places, minlength=len(answers))


def exact_ranks(
    query_vectors: Scores,
    item_vectors: Scores,
    answers: Indices,
    answer_set_size: int | None = None,
    *,
    seen: csr_array | None = None,
    progress: str | None = None,
) -> Ranks:
    """Return the ranks of answers under inner-product search over all items, float64 ``[Q]``.

    Memory: one block of scores of about 64 MB at a time. Equal vectors may get scores that differ
    in the last bits (BLAS sums edges of a block in another order), so scores within
    ``8 eps |query| |answer|`` tie.

    Args:
        query_vectors: float32 ``[Q, D]``.
        item_vectors: float32 ``[N, D]``, memory-mapped or not.
        answers: row of each answer in ``item_vectors``, -1 for none.
        answer_set_size, seen: as in :func:`ranks_of_answers`.
        progress: label of a progress bar; None: no bar.

    Raises:
        ValueError: as :func:`ranks_of_answers`; widths D that differ.
    """
    _check_widths(query_vectors, item_vectors)
    answers = np.asarray(answers, dtype=np.int64)
    items = np.asarray(item_vectors, dtype=np.float32)
    query_norms = np.linalg.norm(query_vectors, axis=1)
    item_norms = np.linalg.norm(items, axis=1)
    eps = np.finfo(np.float32).eps

    def of_rows(rows: slice) -> Ranks:
        chosen = answers[rows]
        reach = np.where(chosen >= 0, item_norms[chosen] if len(items) else 0, 0)
        return ranks_of_answers(
            np.asarray(query_vectors[rows], dtype=np.float32) @ items.T,
            chosen,
            answer_set_size=answer_set_size,
            seen=None if seen is None else seen[rows],
            tolerance=(8 * eps * query_norms[rows] * reach).astype(np.float32),
        )

    return ranks_in_chunks(of_rows, len(query_vectors), len(items), progress=progress)


def ranks_in_chunks(
    of_rows: Callable[[slice], Ranks], queries: int, items: int, *, progress: str | None = None
) -> Ranks:
    """Join ``of_rows(rows)`` over blocks of queries whose ``[rows, items]`` scores fit memory."""
    ranks = np.empty(queries, dtype=np.float64)
    bar = tqdm(total=queries, desc=progress, unit="query", disable=None if progress else True)
    with bar:
        for rows in chunks(queries, items):
            ranks[rows] = of_rows(rows)
            bar.update(rows.stop - rows.start)
    return ranks


def chunks(queries: int, items: int) -> Iterator[slice]:
    """Yield slices of queries whose float32 scores over ``items`` take at most CHUNK_BYTES."""
    step = max(1, CHUNK_BYTES // (4 * max(items, 1)))
    for start in range(0, queries, step):
        yield slice(start, min(start + step, queries))


def _without_seen(
    scores: Scores, answers: Indices, seen: csr_array
) -> tuple[Scores, NDArray[np.int64]]:
    """Return a copy with ``-inf`` at seen items, and the number of seen items per query."""
    if seen.shape != scores.shape:
        raise ValueError(f"seen has shape {seen.shape}, scores have {scores.shape}")
    marks = seen.astype(bool).tocoo()
    rows, columns = marks.row[marks.data], marks.col[marks.data]
    if np.any(answers[rows] == columns):
        raise ValueError("an answer is among the seen items of its query")
    scores = scores.copy()
    scores[rows, columns] = -np.inf
    return scores, np.bincount(rows, minlength=len(scores))


def _check_widths(query_vectors: Scores, item_vectors: Scores) -> None:
    if query_vectors.ndim != 2 or item_vectors.ndim != 2:
        raise ValueError("vectors must be matrices [Q, D] and [N, D]")
    if query_vectors.shape[1] != item_vectors.shape[1]:
        raise ValueError(
            f"queries have {query_vectors.shape[1]} dimensions, items {item_vectors.shape[1]}"
        )


def answer_ranks(
    user_vectors: NDArray[np.float32],
    matrix: NDArray[np.float32],
    seen: Sequence[NDArray[np.int64]],
    answers: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return float64 ``[B]``: the rank (from 1) of each answer among the unseen items.

    :func:`ranks_of_answers` of :func:`~beauty_rec.search.exact.unseen_scores`, but an answer of -1
    (an item without a row) ranks inf, and so does every answer of a user with a NaN among the
    scores: a tower that has diverged finds nothing.
    """
    ranks = np.full(len(answers), np.inf)
    for rows, block in unseen_scores(user_vectors, matrix, seen):
        ranks[rows] = _ranks_of_block(block, answers[rows])
    return ranks


def answer_ranks_along(
    user_vectors: NDArray[np.float32],
    direction: NDArray[np.float32],
    steps: Sequence[float],
    matrix: NDArray[np.float32],
    seen: Sequence[NDArray[np.int64]],
    answers: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return :func:`answer_ranks` of ``user_vectors + step * direction``, float64 ``[S, B]``.

    Scores are linear in the vectors: two products with the matrix answer for all steps.

    Args:
        user_vectors, direction: ``[B, W]``; columns of ``direction`` that are 0 cost nothing.
        steps: S of them.
        matrix: ``[N, W]``.
        seen, answers: as of :func:`answer_ranks`.
    """
    moved = np.flatnonzero(direction.any(axis=0))
    nothing = [np.zeros(0, np.int64)] * len(answers)
    ranks = np.full((len(steps), len(answers)), np.inf)
    for (rows, block), (_, further) in zip(
        unseen_scores(user_vectors, matrix, seen),
        unseen_scores(direction[:, moved], matrix[:, moved], nothing),
        strict=True,
    ):
        scores = np.empty_like(block)
        for number, step in enumerate(steps):
            np.multiply(further, np.float32(step), out=scores)
            scores += block
            ranks[number, rows] = _ranks_of_block(scores, answers[rows])
    return ranks


def _ranks_of_block(block: NDArray[np.float32], answers: NDArray[np.int64]) -> NDArray[np.float64]:
    found = (answers >= 0) & ~_with_nan(block)
    ranks = np.full(len(block), np.inf)
    ranks[found] = ranks_of_answers(block if found.all() else block[found], answers[found])
    return ranks


def _with_nan(scores: Scores) -> NDArray[np.bool_]:
    """Return which rows hold a NaN: a maximum carries it on, and takes no memory of its own."""
    highest: NDArray[np.float32] = scores.max(axis=1, initial=-np.inf)
    return np.isnan(highest)
