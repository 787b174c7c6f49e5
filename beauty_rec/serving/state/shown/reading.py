"""What was shown, as the pipeline reads it: frames, and a version that stands for them."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import polars as pl
import psycopg

from beauty_rec.search.pgvector.owner import claim
from beauty_rec.search.pgvector.server import postgres
from beauty_rec.serving.state.database import STORE
from beauty_rec.serving.state.shown.tables import SELECT, SHOWN
from beauty_rec.settings import Settings

NOTHING = "none"
"""The version of a store without an impression."""
IMPRESSIONS: dict[str, Any] = {
    "recommendation_id": pl.String, "time_ms": pl.Int64, "user_id": pl.String, "kind": pl.String,
    "version": pl.String, "variant": pl.String, "order": pl.String, "items": pl.List(pl.String),
    "sources": pl.List(pl.String), "experiment": pl.String,
    "propensities": pl.List(pl.Float64), "shadow_of": pl.String, "catalogue_items": pl.Int64,
}  # fmt: skip
EVENTS: dict[str, Any] = {
    "recommendation_id": pl.String, "parent_asin": pl.String, "type": pl.String,
    "time_ms": pl.Int64,
}  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """Answers as they were shown, one a row, and the events that name one of them."""

    impressions: pl.DataFrame
    events: pl.DataFrame


def shown_version(settings: Settings) -> str:
    """Return what stands for all impressions and the events that name one; ``none`` without any.

    Raises:
        psycopg.Error, RuntimeError, OSError: the store cannot be reached.
    """
    with _reading(settings) as connection:
        if connection is None:
            return NOTHING
        found = connection.execute(
            "SELECT count(*), max(recommendation_id) FROM serving_impressions"
            " WHERE kind <> 'shadow'"
        ).fetchone()
        owed = connection.execute(
            "SELECT count(*), max(number) FROM serving_events WHERE recommendation_id IS NOT NULL"
        ).fetchone()
    if found is None or not found[0]:
        return NOTHING
    return hashlib.sha256(repr((found, owed)).encode()).hexdigest()[:16]


def read_shown(settings: Settings) -> Shown:
    """Return all that is kept of what was shown; see :func:`shown_version`."""
    impressions: list[tuple[Any, ...]] = []
    events: list[tuple[Any, ...]] = []
    with _reading(settings) as connection:
        if connection is not None:
            seen = SELECT + " WHERE kind <> 'shadow' ORDER BY recommendation_id"
            impressions = connection.execute(seen).fetchall()
            events = connection.execute(
                "SELECT recommendation_id, parent_asin, type, time_ms FROM serving_events"
                " WHERE recommendation_id IS NOT NULL ORDER BY number"
            ).fetchall()
    return Shown(
        pl.DataFrame(impressions, schema=IMPRESSIONS, orient="row"),
        pl.DataFrame(events, schema=EVENTS, orient="row"),
    )


@contextmanager
def _reading(settings: Settings) -> Iterator[psycopg.Connection[Any] | None]:
    """Yield a connection to the store; None where nothing was ever kept: none is made for it."""
    place = settings.data_dir / STORE
    dsn = settings.item_index.dsn
    if dsn is None and not (place / "cluster" / "PG_VERSION").exists():
        yield None
        return
    claim(settings)
    with postgres(place, dsn) as address, psycopg.connect(address) as connection:
        is_there = connection.execute("SELECT to_regclass('serving_impressions')").fetchone()
        if is_there is None or is_there[0] is None:
            yield None
            return
        connection.execute(SHOWN)  # an older server kept less
        yield connection
