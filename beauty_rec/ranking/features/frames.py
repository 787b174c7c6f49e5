"""From frames of events and candidates to the reranker's inputs, and back to ranked frames."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.ranking.features.build import RETRIEVAL, Candidates, Query
from beauty_rec.towers.users.search import tower_ranks


def queries_from(events: pl.DataFrame, profiles: pl.DataFrame | None) -> list[Query]:
    """Return one query per row of ``events``: user_id, timestamp, history list[str], context.

    ``history`` is oldest first and ends before the event. A user without a profile has an empty
    one.
    """
    known: dict[str, dict[str, float | str | None]] = {}
    if profiles is not None:
        here = profiles.join(events.select("user_id").unique(), on="user_id", how="semi")
        known = {row.pop("user_id"): row for row in here.iter_rows(named=True)}
    context = events["context"] if "context" in events.columns else [None] * len(events)
    return [
        Query(time_ms, history, said, known.get(user, {}))
        for user, time_ms, history, said in zip(
            events["user_id"], events["timestamp"], events["history"].to_list(), context,
            strict=True,
        )
    ]  # fmt: skip


def candidates_from(candidates: pl.DataFrame, events: pl.DataFrame) -> tuple[Candidates, list[int]]:
    """Return the candidates of ``events`` and the row of the frame that each came from.

    ``candidates`` has review_id, parent_asin and any of tower_score, text_score and text_rank; a
    missing column, null or NaN means that retriever did not find it. An event's rows are all that
    its user tower found, so that its ranks are known from its scores. Rows are grouped by event, in
    the order of ``events``, and by row within; candidates of no event are left out.
    """
    place = pl.DataFrame(
        {"review_id": events["review_id"], "query": np.arange(len(events), dtype=np.int64)}
    )
    rows = (
        candidates.with_row_index("row")
        .join(place, on="review_id", how="inner")
        .sort("query", "row")
    )
    query = rows["query"].to_numpy(writable=True)
    retrieval = np.full((len(rows), len(RETRIEVAL)), np.nan, dtype=np.float32)
    for column, name in enumerate(RETRIEVAL):
        if name in rows.columns:
            retrieval[:, column] = rows[name].cast(pl.Float32).fill_null(np.nan).to_numpy()
    rank, score = RETRIEVAL.index("tower_rank"), RETRIEVAL.index("tower_score")
    retrieval[:, rank] = _smooth_ranks_within(query, retrieval[:, score])
    return Candidates(query, rows["parent_asin"].to_list(), retrieval), rows["row"].to_list()


def _smooth_ranks_within(
    query_row: NDArray[np.int64], scores: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the rank of each tower score [N] among its query's; NaN where there is none."""
    ranks = np.full(len(scores), np.nan, dtype=np.float32)
    found = np.flatnonzero(~np.isnan(scores))
    starts = np.flatnonzero(np.diff(query_row[found], prepend=-1))
    for rows in np.split(found, starts[1:]):
        ranks[rows] = tower_ranks(-np.sort(-scores[rows]), scores[rows])
    return ranks


def labels_of(candidates: Candidates, answers: Sequence[str]) -> NDArray[np.float32]:
    """Return 1 where a candidate is the answer of its query, else 0: float32 [N]."""
    hit = [
        item == answers[q]
        for item, q in zip(candidates.items, candidates.query_row.tolist(), strict=True)
    ]
    return np.array(hit, dtype=np.float32)


def ranked_within(
    query_row: NDArray[np.int64], scores: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the order of N candidates, query by query and best first, and their ranks from 1.

    Ties keep the given order.
    """
    order = np.lexsort((np.arange(len(scores)), -scores, query_row))
    query = query_row[order]
    starts = np.searchsorted(query, query, side="left")
    return order, np.arange(len(order)) - starts + 1
