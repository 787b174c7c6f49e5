"""How much of an item vector is learned, and how much linear in its attributes: as valid says."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beauty_rec.events.arrays import Events
from beauty_rec.measures.significance import ALPHA, sign_flip_test
from beauty_rec.search.ranks import answer_ranks
from beauty_rec.towers.items.attribute_space import Floats, side_by_side

CUT = 100
FEWEST_QUERIES = 30
"""With fewer held-out events that have a history their recall says nothing."""
MAX_HISTORY = 50
MOST_QUERIES = 10_000
"""All items are scored for each: with more of them the choice takes longer, and is no better."""
USUAL = 0.85
"""What is taken unless valid says otherwise."""


@dataclass(frozen=True)
class ShareChoice:
    """``recalls``: Recall@100 of the held-out events by share; empty where there were too few."""

    share: float
    recalls: dict[float, float]
    queries: int


def choose_share(
    learned: Floats,
    attributes: Floats,
    shares: Sequence[float],
    events: Events,
    rows: NDArray[np.int64],
) -> ShareChoice:
    """Return the share nearest to the usual one that no other beats on held-out events.

    To beat is to have a higher Recall@100 beyond chance (sign flips, those of a user together).
    Every item is scored by its cosine with the mean of the history's vectors: so item vectors tell
    what a user may take next before anything of users is learned.

    Args:
        learned: unit vectors ``[N, D]``, of the rows of ``events.item_ids``.
        attributes: unit vectors ``[N, A]``, or zeros.
        shares: of ``attributes``, each 0 to 1.
        events: train and held-out events.
        rows: int64, of the held-out ones; those without a history, and repeats, are no queries.
    """
    usual = min(shares, key=lambda share: abs(share - USUAL))
    rows = rows[(events.end[rows] > events.start[rows]) & (events.item[rows] >= 0)]
    if len(rows) > MOST_QUERIES:  # before histories are made of all that a large shop has
        drawn = np.random.default_rng(0).choice(len(rows), MOST_QUERIES, replace=False)
        rows = rows[np.sort(drawn)]
    answers, seen = events.item[rows], [np.unique(events.seen(row)) for row in rows]
    histories = [_items(events, history) for history in events.histories(rows, MAX_HISTORY)]
    kept = [
        place
        for place, (answer, items) in enumerate(zip(answers, seen, strict=True))
        if len(histories[place]) and answer not in items
    ]
    if len(kept) < FEWEST_QUERIES:
        return ShareChoice(float(usual), {}, len(kept))
    past, left_out = [histories[place] for place in kept], [seen[place] for place in kept]
    hits = {}
    for share in shares:
        matrix = side_by_side(learned, attributes, share)
        users = np.stack([matrix[items].mean(axis=0) for items in past])
        ranks = answer_ranks(users, matrix, left_out, answers[kept])
        hits[float(share)] = (ranks <= CUT).astype(np.float64)
    best = max(hits, key=lambda share: (hits[share].mean(), -abs(share - USUAL)))
    who = events.user[rows[kept]]
    level = [
        share
        for share, own in hits.items()
        if sign_flip_test(hits[best], own, clusters=who) >= ALPHA
    ]
    chosen = min([best, *level], key=lambda share: abs(share - USUAL))
    return ShareChoice(chosen, {s: float(own.mean()) for s, own in hits.items()}, len(kept))


def _items(events: Events, history: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the known items of one padded history."""
    found = events.item[history[history >= 0]]
    return found[found >= 0]
