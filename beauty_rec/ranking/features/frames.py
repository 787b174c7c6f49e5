"""From frames of events to the reranker's queries."""

import polars as pl

from beauty_rec.ranking.features.build import Query


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
