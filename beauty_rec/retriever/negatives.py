"""Hard negatives: item texts that the untuned encoder takes for the answer."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from beauty_rec.retriever.encoder import TextEncoder

_BLOCK = 512


def mine_hard_negatives(
    encoder: TextEncoder,
    queries: Sequence[str],
    positives: Sequence[str],
    item_ids: Sequence[str],
    count: int,
    margin: float,
) -> list[list[int]]:
    """Return, for each pair, the rows of the ``count`` hardest item texts of other items.

    A candidate whose score is above the positive's score less ``margin`` may be a right answer
    that nobody wrote down, so it is passed over. When too few are left, the farther ones follow.

    Args:
        encoder: scores queries against item texts by cosine.
        queries, positives, item_ids: the pairs' columns, ``N`` each.
        count: negatives of a pair; fewer when there are not that many other items.
        margin: in cosine.

    Returns:
        ``N`` lists of row numbers into ``positives``, one row an item, the hardest first.
    """
    query_vectors = encoder.encode_queries(queries)
    item_vectors = encoder.encode_items(positives)
    codes = np.unique(np.asarray(item_ids), return_inverse=True)[1]
    negatives: list[list[int]] = []
    for start in range(0, len(queries), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(queries)))
        scores = query_vectors[rows] @ item_vectors.T  # [B, N]
        for row, row_scores in zip(rows, scores, strict=True):
            negatives.append(_hardest(row_scores, codes, int(row), count, margin))
    return negatives


def _hardest(
    scores: NDArray[np.float32], codes: NDArray[np.intp], row: int, count: int, margin: float
) -> list[int]:
    allowed = (codes != codes[row]) & (scores <= scores[row] - margin)
    chosen: list[int] = []
    items: set[int] = set()
    for candidate in np.argsort(-np.where(allowed, scores, -np.inf), kind="stable"):
        if not allowed[candidate] or len(chosen) == count:
            break
        if int(codes[candidate]) not in items:
            items.add(int(codes[candidate]))
            chosen.append(int(candidate))
    # Nothing is far enough below the positive: the farthest other items are the safest negatives.
    for candidate in np.argsort(scores, kind="stable"):
        if len(chosen) == count:
            break
        code = int(codes[candidate])
        if code != codes[row] and code not in items:
            items.add(code)
            chosen.append(int(candidate))
    return chosen
