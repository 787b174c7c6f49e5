"""What early stopping looks at: Recall@k on held-out events, by exact search over all items."""

import numpy as np
from numpy.typing import NDArray

from beauty_rec.settings import UserTowerSettings
from beauty_rec.towers.requests import Knowledge
from beauty_rec.towers.served_user_tower import ServedUserTower
from beauty_rec.towers.user_candidates import answer_ranks


def draw_rows(valid: NDArray[np.int64], settings: UserTowerSettings) -> NDArray[np.int64]:
    """Return at most ``max_valid_queries`` of the rows, drawn by the seed, in order."""
    rng = np.random.default_rng(settings.seed)
    return np.sort(rng.permutation(valid)[: settings.max_valid_queries])


def held_out_recall(
    served: ServedUserTower, known: Knowledge, valid: NDArray[np.int64], k: int
) -> float | None:
    """Return Recall@k of the valid events that are no repeat; ``None`` when there are none."""
    events = known.events
    seen = [events.seen(row) for row in valid]
    new = np.array([events.item[row] not in s for row, s in zip(valid, seen, strict=True)], bool)
    if not new.any():
        return None
    queries = valid[new]
    ranks = answer_ranks(
        served.user_vectors(known.requests(queries, served.as_of_ms)),
        served.items.matrix,
        [s for s, keep in zip(seen, new, strict=True) if keep],
        events.item[queries],
    )
    return float((ranks <= k).mean())


def best_text_weight(
    served: ServedUserTower,
    known: Knowledge,
    valid: NDArray[np.int64],
    settings: UserTowerSettings,
) -> float:
    """Choose the weight of cos(context, item text) on valid; the smallest of equals.

    It is not learned by gradient: an item's text holds what its buyers wrote, so on training
    events it would be trusted far beyond what it is worth on new ones.
    """
    if not served.items.text:
        return 0.0
    recalls: dict[float, float] = {}
    for weight in sorted(settings.text_weights):
        served.text_weight = weight
        recalls[weight] = held_out_recall(served, known, valid, settings.candidates) or 0.0
    return max(recalls, key=lambda weight: recalls[weight])
