"""What is given while serving, kept in PostgreSQL: items, their states, events, who is forgotten.

The embedded cluster is one of its own: that of the index can be made anew, this one cannot.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import psycopg
from psycopg.types.json import Jsonb
from pydantic import ValidationError

from beauty_rec.corpus.forgotten import Forgotten, Mark, digest_of, new_salt
from beauty_rec.recommender.online.people import Past
from beauty_rec.recommender.online.requests import NewItem
from beauty_rec.recommender.online.stock.states import ItemState
from beauty_rec.search.pgvector.owner import claim_by
from beauty_rec.serving.state import tables
from beauty_rec.serving.state.connection import Change, Connection
from beauty_rec.settings import Settings

LOG = logging.getLogger("beauty_rec.serving")
STORE = "store"
"""Folder of the embedded cluster, below the data folder."""
EVENTS_AT_ONCE = 20_000
"""Events that a statement reads: one that read them all could take longer than it may."""


def has_store(folder: Path) -> bool:
    """Whether an embedded store stands in a folder that may be written to; no other is opened."""
    if Store(folder, None).read_only:
        return False
    try:
        return (folder / "cluster" / "PG_VERSION").exists()
    except PermissionError:  # it is another user's, and the error of its opening says so
        return True


class KeptRow(NamedTuple):
    """What was made of an item; ``key`` is of the item and of what made it."""

    key: str
    made: dict[str, Any]
    vectors: bytes


class GivenEvent(NamedTuple):
    """An event of a user, and the answer that it is owed to, if any."""

    user_id: str
    event: Past
    recommendation_id: str | None = None


class Store(Connection):
    """The tables; see :class:`~beauty_rec.serving.state.connection.Connection`."""

    _shop: Settings | None = None

    @classmethod
    def of(cls, settings: Settings, on_open: Callable[[], None] = lambda: None) -> "Store":
        """Return that of a shop, which no database of another one is taken for, ever."""
        store = cls(settings.data_dir / STORE, settings.item_index.dsn, on_open)
        store._shop = settings
        return store

    def prepare(self, connection: psycopg.Connection[Any]) -> None:
        if self._shop is not None:
            claim_by(connection, self._shop)
        tables.prepare(connection, self._folder if self._dsn is None else None)

    def claim(self, connection: psycopg.Connection[Any]) -> bool:
        return tables.claim(connection)

    def items(self) -> list[NewItem]:
        """Return all items that were given, in the order of their last change.

        What an older version took and this one would refuse is left out, and kept.
        """
        found = []
        for (record,) in self.read("SELECT record FROM serving_items ORDER BY changed_at, id"):
            try:
                found.append(NewItem.model_validate(record))
            except ValidationError as error:
                LOG.warning("given item left out", extra={"faults": error.error_count()})
        return found

    def put_items(self, items: Sequence[NewItem]) -> None:
        """Insert or replace items, all or none; their states: :meth:`.ItemState.given_anew`."""
        rows = [(item.parent_asin, Jsonb(item.model_dump(mode="json"))) for item in items]
        self.change(
            (
                "INSERT INTO serving_items (id, record) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE"
                " SET record = excluded.record, changed_at = now()",
                rows,
            ),
            (
                "UPDATE serving_states SET price = NULL,"
                " hidden = CASE WHEN hidden THEN NULL ELSE hidden END WHERE id = %s",
                [(item.parent_asin,) for item in items],
            ),
        )

    def states(self) -> dict[str, ItemState]:
        """Return what was said of items beside what they are, by id."""
        rows = self.read("SELECT id, hidden, in_stock, price FROM serving_states")
        found = {name: ItemState(*state) for name, *state in rows}
        return {name: state for name, state in found.items() if state != ItemState()}

    def put_states(self, states: Mapping[str, ItemState]) -> None:
        """Replace the states of some items, all or none."""
        self.change(
            (
                "INSERT INTO serving_states (id, hidden, in_stock, price) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT (id) DO UPDATE SET hidden = excluded.hidden,"
                " in_stock = excluded.in_stock, price = excluded.price, changed_at = now()",
                [(name, *state) for name, state in states.items()],
            )
        )

    def put_state(self, parent_asin: str, said: Mapping[str, Any]) -> ItemState:
        """Keep what is said of an item, and return all that was; the rest stays as it is."""
        names = ["id", *(name for name in ItemState._fields if name in said)]
        changed = [*(f"{name} = excluded.{name}" for name in names[1:]), "changed_at = now()"]
        [state] = self.read(
            f"INSERT INTO serving_states ({', '.join(names)})"
            f" VALUES ({', '.join(['%s'] * len(names))})"
            f" ON CONFLICT (id) DO UPDATE SET {', '.join(changed)}"
            " RETURNING hidden, in_stock, price",
            [parent_asin, *(said[name] for name in names[1:])],
        )
        return ItemState(*state)

    def rows(self, keys: Sequence[str]) -> list[KeptRow]:
        """Return what is kept under ``keys``."""
        found = self.read(
            "SELECT key, made, vectors FROM serving_rows WHERE key = ANY(%s)", [list(keys)]
        )
        return [KeptRow(key, made, bytes(vectors)) for key, made, vectors in found]

    def put_rows(self, rows: Sequence[KeptRow]) -> None:
        """Keep what was made of items."""
        self.change(
            (
                "INSERT INTO serving_rows (key, made, vectors) VALUES (%s, %s, %s)"
                " ON CONFLICT (key) DO NOTHING",
                [(row.key, Jsonb(row.made), row.vectors) for row in rows],
            )
        )

    def keep_rows(self, keys: Collection[str]) -> None:
        """Delete all rows but these."""
        self.change(("DELETE FROM serving_rows WHERE key <> ALL(%s)", [(list(keys),)]))

    def events(self) -> dict[str, list[Past]]:
        """Return all events that were given, by user, in their order."""
        found: dict[str, list[Past]] = {}
        for given in self.given_events():
            found.setdefault(given.user_id, []).append(given.event)
        return found

    def given_events(self) -> Iterator[GivenEvent]:
        """Yield the same one by one, each with the answer that it is owed to."""
        last: int | None = 0
        while last is not None:
            rows = self.read(
                "SELECT number, user_id, parent_asin, rating, time_ms, type, recommendation_id"
                " FROM serving_events WHERE number > %s ORDER BY number LIMIT %s",
                [last, EVENTS_AT_ONCE],
            )
            for _, user, parent_asin, rating, time_ms, kind, recommendation_id in rows:
                yield GivenEvent(user, Past(parent_asin, rating, time_ms, kind), recommendation_id)
            last = rows[-1][0] if len(rows) == EVENTS_AT_ONCE else None

    def put_events(self, events: Sequence[GivenEvent]) -> None:
        """Insert events, all or none; the same one again changes its rating."""
        self.change(
            (
                "INSERT INTO serving_events (user_id, parent_asin, rating, time_ms, type,"
                " recommendation_id) VALUES (%s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (user_id, parent_asin, time_ms, type) DO UPDATE"
                " SET rating = excluded.rating, recommendation_id ="
                " coalesce(excluded.recommendation_id, serving_events.recommendation_id)",
                [(given.user_id, *given.event, given.recommendation_id) for given in events],
            )
        )

    def drop_events(self, user_id: str, parent_asin: str | None, time_ms: int | None) -> int:
        """Delete given events of a user, all or those of an item, of a moment; return how many."""
        dropped = self.read(
            "WITH dropped AS (DELETE FROM serving_events WHERE user_id = %s AND (%s::text IS NULL"
            " OR parent_asin = %s) AND (%s::bigint IS NULL OR time_ms = %s) RETURNING now()),"
            " unscrubbed AS (INSERT INTO serving_unscrubbed (since) SELECT * FROM dropped LIMIT 1)"
            " SELECT * FROM dropped",
            [user_id, parent_asin, parent_asin, time_ms, time_ms],
        )
        return len(dropped)

    def forgotten(self) -> Forgotten:
        """Return who is forgotten."""
        rows = self.read("SELECT salt, digest, at_ms FROM serving_forgotten")
        return Forgotten.of(Mark(bytes(salt), bytes(digest), at) for salt, digest, at in rows)

    def forget(self, user_id: str, known_ms: int = 0) -> tuple[Mark, int]:
        """Delete all that was given of a user, and keep that the user is forgotten.

        Args:
            user_id: of the user.
            known_ms: when the user did the last thing that is known elsewhere (Unix ms). Times may
                be ahead of the clock, and the mark is never before what it is to cover.

        Returns:
            The mark, and how many events were deleted.
        """
        known = self.read("SELECT salt FROM serving_forgotten ORDER BY at_ms LIMIT 1")
        salt = bytes(known[0][0]) if known else new_salt()
        [(events, last_ms)] = self.read(
            "SELECT count(*), max(time_ms) FROM serving_events WHERE user_id = %s", [user_id]
        )
        at_ms = max(int(time.time() * 1000), known_ms, last_ms or 0)
        mark = Mark(salt, digest_of(salt, user_id), at_ms)
        deletions: list[Change] = [
            (f"DELETE FROM {table} WHERE {column} = %s", [(user_id,)])
            for table, column in tables.PERSONAL.items()
        ]
        self.change(*deletions, _marking([mark]), tables.UNSCRUBBED)
        return mark, int(events)

    def put_forgotten(self, marks: Sequence[Mark]) -> None:
        """Keep that users are forgotten, who were so elsewhere, and delete what is from before."""
        if not marks:
            return
        users: set[str] = set()
        for table, column in tables.PERSONAL.items():
            found = self.read(f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL")
            users.update(user for (user,) in found)
        gone = Forgotten.of(marks).among(pl.Series(sorted(users), dtype=pl.String))
        deletions: list[Change] = [
            (f"DELETE FROM {table} WHERE {column} = %s AND time_ms <= %s", list(gone.items()))
            for table, column in tables.PERSONAL.items()
        ]
        self.change(*deletions, _marking(marks), tables.UNSCRUBBED)

    def is_scrubbed(self) -> bool:
        """Whether nothing that was deleted is still in the files, as far as it may be seen to."""
        return not self.read("SELECT 1 FROM serving_unscrubbed LIMIT 1")

    def scrub(self, *, at_leisure: bool = False) -> bool:
        """Take deleted personal rows out of the files: see :func:`.tables.scrub`."""
        with self.aside() as connection:
            return tables.scrub(connection, at_leisure=at_leisure)


def _marking(marks: Sequence[Mark]) -> Change:
    return (
        "INSERT INTO serving_forgotten (salt, digest, at_ms) VALUES (%s, %s, %s)"
        " ON CONFLICT (salt, digest) DO UPDATE"
        " SET at_ms = greatest(serving_forgotten.at_ms, excluded.at_ms)",
        marks,
    )
