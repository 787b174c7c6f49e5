"""What early stopping looks at: Recall@k on held-out events, by exact search over all items."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from beauty_rec.events.arrays import Events
from beauty_rec.search.ranks import answer_ranks, answer_ranks_along, ranks_of_static_scores
from beauty_rec.settings import UserTowerSettings
from beauty_rec.towers.users.inputs import Knowledge
from beauty_rec.towers.users.item_matrix import ItemMatrix
from beauty_rec.towers.users.served import ServedUserTower

MOST_SCORES = 500_000_000
"""Of a look at valid, one for each query and item: more of them take longer than the training."""
ENOUGH_QUERIES = 2_000
"""Asked of whatever number of items."""


def draw_rows(
    valid: NDArray[np.int64], items: int, settings: UserTowerSettings
) -> NDArray[np.int64]:
    """Return at most ``max_valid_queries`` of the rows, drawn by the seed, in order.

    Of many ``items`` fewer: 4,440 are asked of 112,590.
    """
    most = min(settings.max_valid_queries, max(ENOUGH_QUERIES, MOST_SCORES // max(1, items)))
    rng = np.random.default_rng(settings.seed)
    return np.sort(rng.permutation(valid)[:most])


def held_out_recall(
    served: ServedUserTower, known: Knowledge, rows: NDArray[np.int64], k: int
) -> float | None:
    """Return Recall@k of the events ``rows`` that are no repeat; ``None`` when there are none."""
    rows, seen = _queries(known.events, rows)
    if not len(rows):
        return None
    vectors = served.user_vectors(known.requests(rows, served.as_of_ms))
    ranks = answer_ranks(vectors, served.items.matrix, seen, known.events.item[rows])
    return float((ranks <= k).mean())


def best_popularity(
    items: ItemMatrix, columns: int, events: Events, rows: NDArray[np.int64], k: int
) -> tuple[int, float | None]:
    """Return which of the first ``columns`` statistics ranks best by itself, and its Recall@k.

    Where another finds no more it is the second (the fastest is noise); without held-out events
    there is no recall.
    """
    rows, seen = _queries(events, rows)
    best = min(1, columns - 1)
    if not len(rows):
        return best, None
    answers = events.item[rows]
    known = np.flatnonzero(answers >= 0)  # an answer without a row is not found
    left_out = _marked([seen[row] for row in known], len(items.matrix))
    recalls = [
        np.count_nonzero(
            ranks_of_static_scores(items.matrix[:, column], answers[known], left_out) <= k
        )
        / len(rows)
        for column in range(items.tower, items.tower + columns)
    ]
    if max(recalls) > recalls[best]:
        best = int(np.argmax(recalls))
    return best, recalls[best]


def choose_weights(
    served: ServedUserTower,
    known: Knowledge,
    valid: NDArray[np.int64],
    settings: UserTowerSettings,
) -> None:
    """Set the weights of what is not learned by gradient, one after the other, on valid.

    An item's text holds what its buyers wrote, and a history what its user would buy again, so on
    training events both would be trusted far beyond what they are worth on new ones. Who is new
    tells little, and a small shop teaches little about it: then popularity is worth more. Of
    weights with equal recall the smallest is taken.
    """
    grids = {"newcomer_weight": settings.newcomer_weights, "past_weight": settings.past_weights}
    if served.items.text:
        grids["text_weight"] = settings.text_weights
        grids["past_text_weight"] = settings.past_text_weights
    rows, seen = _queries(known.events, valid)
    if not len(rows):
        for name, weights in grids.items():
            setattr(served, name, min(weights))
        return
    requests = known.requests(rows, served.as_of_ms)
    for name, weights in grids.items():
        # A user vector is linear in each of the weights.
        ends = []
        for weight in (0.0, 1.0):
            setattr(served, name, weight)
            ends.append(served.user_vectors(requests))
        ordered = sorted(weights)
        ranks = answer_ranks_along(
            ends[0], ends[1] - ends[0], ordered, served.items.matrix, seen, known.events.item[rows]
        )
        recalls = (ranks <= settings.candidates).mean(axis=1)
        setattr(served, name, ordered[int(np.argmax(recalls))])


def _marked(lists: list[NDArray[np.int64]], width: int) -> csr_array:
    """Return which columns each list holds, ``[len(lists), width]``; twice there is once."""
    rows = np.repeat(np.arange(len(lists)), [len(held) for held in lists])
    columns = np.concatenate([np.zeros(0, np.int64), *lists])
    marks = np.ones(len(rows), np.float32)
    return csr_array((marks, (rows, columns)), shape=(len(lists), width))


def _queries(
    events: Events, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Return the rows that are no repeat of a seen item, and what each has seen."""
    seen = [events.seen(row) for row in rows]
    new = [events.item[row] not in items for row, items in zip(rows, seen, strict=True)]
    kept = [items for items, keep in zip(seen, new, strict=True) if keep]
    return rows[np.array(new, dtype=bool)], kept
