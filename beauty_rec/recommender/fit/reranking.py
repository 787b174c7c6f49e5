"""Fitting what comes after the candidates: learned orders, weights, and what is served."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beauty_rec.events.folds import fold_numbers
from beauty_rec.ranking.apply import load_rankers
from beauty_rec.ranking.features.build import Candidates, Query
from beauty_rec.ranking.features.knowledge import ItemKnowledge
from beauty_rec.ranking.fit import Asked, fit_rankers
from beauty_rec.recommender.fit.orders import ENOUGH_TO_JUDGE, Labelled, fit_orders
from beauty_rec.recommender.learned import retrieval
from beauty_rec.recommender.offline.lists import CandidateLists
from beauty_rec.recommender.offline.ordering import probabilities
from beauty_rec.recommender.offline.split_asks import SplitAsks
from beauty_rec.recommender.orders import Kind, Orders
from beauty_rec.recommender.path import kind_of

MOST_JUDGED = 4_000
"""Asks of valid that stop the learning; the orders are judged by all."""


def fit_reranking(
    knowledge: ItemKnowledge,
    train: SplitAsks,
    fold_starts: Sequence[int],
    valid: SplitAsks,
    embeddings: np.ndarray,
    reads_texts: bool,
    target: Path,
    checkpoints: Path | None = None,
    device: str = "cpu",
    baselines: Mapping[str, NDArray[np.float64]] | None = None,
) -> tuple[dict[str, Any], Orders]:
    """Fit into ``target``: the learned orders with their item table, and ``orders.json``.

    Args:
        knowledge: what features are made from.
        train: out-of-fold asks.
        fold_starts: moments (Unix ms) at which the folds begin.
        valid: asks of valid, in every scenario.
        embeddings: of the item tower, float32 ``[rows, E]``.
        reads_texts: the user tower was trained with free texts.
        target: new folder.
        checkpoints: folder from which a killed training goes on.
        device: that the DeepFM is trained on; all else is done on the CPU.
        baselines: what plain popularity gains of each ask of valid, as of
            :class:`~beauty_rec.recommender.fit.orders.Labelled`.

    Returns:
        The log of :func:`~beauty_rec.ranking.fit.fit_rankers`, and the orders.
    """
    valid_queries = valid.queries()
    log = fit_rankers(
        knowledge,
        _folds(train, fold_starts),
        _judged(valid, valid_queries),
        embeddings,
        target,
        checkpoints,
        device,
    )
    models, builder = load_rankers(target)
    table = builder.table

    def kinds(queries: Sequence[Query]) -> list[Kind]:
        return [kind_of(query.context, table, reads_texts) for query in queries]

    orders = fit_orders(
        Labelled(train.lists, kinds(train.queries()), train.users(), train.hits(), {}),
        Labelled(
            valid.lists,
            kinds(valid_queries),
            valid.users(),
            valid.hits(),
            probabilities(models, builder, valid_queries, valid.lists),
            baselines or {},
        ),
    )
    orders.save(target)
    return log, orders


def _folds(train: SplitAsks, starts: Sequence[int]) -> Iterator[Asked]:
    """Yield the asks of each fold; what is known of the items is what was before it."""
    queries, hits = train.queries(), train.hits()
    times = np.array([query.time_ms for query in queries], dtype=np.int64)
    fold = fold_numbers(train.lists.review_ids, times, starts)
    for number, start in enumerate(starts):
        asks = fold == number
        if asks.any():
            own = [query for query, keep in zip(queries, asks, strict=True) if keep]
            yield _asked(train.lists.asked(asks), own, hits[asks[train.lists.ask]], start)


def _judged(valid: SplitAsks, queries: Sequence[Query]) -> Asked:
    """Return asks of valid as the events were known: at most :data:`MOST_JUDGED` of them.

    Where few have an occasion, those of the other events are added, as both are learned from.
    """
    main = valid.lists.scenarios[0] if valid.lists.scenarios else "without_text"
    with_occasion = main == "with_text" and "review_text" in valid.lists.scenarios
    wanted = "with_text" if with_occasion or _labelled(queries, valid) else "without_text"
    scenarios = np.array(valid.lists.scenarios, dtype=object)
    chosen = _spread(np.flatnonzero(scenarios == wanted), MOST_JUDGED)
    if wanted == "with_text" and len(chosen) < ENOUGH_TO_JUDGE:
        known, names = {valid.lists.review_ids[row] for row in chosen}, valid.lists.review_ids
        others = [row for row in np.flatnonzero(scenarios == "without_text")
                  if names[row] not in known]  # fmt: skip
        rest = np.array(others, dtype=np.int64)
        chosen = np.concatenate([chosen, _spread(rest, MOST_JUDGED - len(chosen))])
    asks = np.zeros(len(scenarios), bool)
    asks[chosen] = True
    own = [query for query, keep in zip(queries, asks, strict=True) if keep]
    return _asked(valid.lists.asked(asks), own, valid.hits()[asks[valid.lists.ask]], None)


def _spread(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most so many of the rows, evenly spread."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _labelled(queries: Sequence[Query], valid: SplitAsks) -> bool:
    """Whether the texts of valid are occasions: no data set has as many as it has events."""
    texts = {query.context for query in queries if query.context}
    return 0 < len(texts) <= max(1, len(valid.lists) // 10)


def _asked(
    lists: CandidateLists,
    queries: Sequence[Query],
    hits: NDArray[np.bool_],
    until_ms: int | None,
) -> Asked:
    candidates = Candidates(lists.ask, lists.items, retrieval(lists.values))
    return Asked(until_ms, queries, candidates, hits.astype(np.float32))
