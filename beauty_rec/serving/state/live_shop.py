"""The shop of now, and what changes it: items, their states, events, forgotten users, other sets.

A change is stored first, then another snapshot takes the shop's place in one assignment.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import Any

import psycopg

from beauty_rec.corpus.forgotten import Forgotten
from beauty_rec.corpus.intake.given import taken_path
from beauty_rec.recommender.online.people import Past, distinct
from beauty_rec.recommender.online.requests import NewEvent, NewItem
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.stock.new_items import (
    NewRow,
    add_rows,
    is_taken_in,
    refuse_unknown,
)
from beauty_rec.recommender.online.stock.states import ItemState
from beauty_rec.search.pgvector.owner import claim
from beauty_rec.serving.state.connection import DatabaseDown
from beauty_rec.serving.state.database import GivenEvent, Store
from beauty_rec.serving.state.experiment.beside import Given
from beauty_rec.serving.state.given import GivenRows
from beauty_rec.settings import Settings

LOG = logging.getLogger("beauty_rec.serving")


class UnknownItem(LookupError):
    """No item of this id."""


class LiveShop:
    """A served set with all that was given since. Threads may share one.

    Args:
        settings: of the data folder.
        base: the set.

    Raises:
        RuntimeError: the database is another shop's.
    """

    def __init__(self, settings: Settings, base: Snapshot) -> None:
        self.settings = settings
        self._base = base
        # Until the store is read, which a read-only folder's never is, as of the last run.
        forgotten = Forgotten.load(taken_path(settings.data_dir, "forgotten"))
        self._shop = replace(base, forgotten=forgotten)
        self._changing = threading.RLock()
        self._making = threading.Lock()
        self._restored = False
        self._given: dict[str, NewItem] = {}
        self._added: dict[str, NewRow] = {}
        self._waiting: frozenset[str] = frozenset()
        self._states: dict[str, ItemState] = {}
        self._closing = threading.Event()
        self._filling: threading.Thread | None = None
        self.store = Store.of(settings, self.restore)
        if not self.store.read_only:
            with suppress(psycopg.Error):  # the store says why it cannot be had
                claim(settings)
        self._rows = GivenRows(self.store, settings)

    def wait(self) -> None:
        """Wait until the rows of all that was given are made."""
        if self._filling is not None:
            self._filling.join()

    def close(self) -> None:
        """Stop what goes on in the background, and leave the database."""
        self._closing.set()
        if self._filling is not None:
            self._filling.join(30)
        self.store.close()

    @property
    def shop(self) -> Snapshot:
        """What answers come from now."""
        return self._shop

    def is_nobody(self, user_id: str) -> bool:
        """Whether no trace of a user is kept: who has left, or may have, as nothing is read yet."""
        return not self._restored or self._shop.has_left(user_id)

    @property
    def given(self) -> Given:
        """All that was given."""
        shop = self._shop
        return Given(self._given, self._states, shop.since, shop.forgotten)

    @property
    def waiting_items(self) -> int:
        """Items given before whose vectors are not made yet: they are not answered yet."""
        return len(self._waiting)

    def add_items(self, items: Sequence[NewItem]) -> str:
        """Store items and make them searchable; return the set they are added to.

        Raises:
            UnknownAttribute: an attribute is given that there is no field for.
            DatabaseDown: nothing was stored.
        """
        latest = {item.parent_asin: item for item in items}
        self.store.must_answer()
        with self._making:  # one after the other; all other changes go on meanwhile
            while True:
                base, made = self._base, dict[str, NewRow]()
                refuse_unknown(base, list(latest.values()))
                for rows in self._rows.make(base, list(latest.values())):
                    made |= rows
                with self._change():
                    if self._base is base:  # another set has other models
                        return self._put_items(latest, made)

    def set_state(self, parent_asin: str, **said: Any) -> dict[str, Any]:
        """Store what was said of an item (see :class:`.ItemState`), which the next answer knows.

        Raises:
            UnknownItem: there is no such item.
            DatabaseDown: nothing was stored.
        """
        self._must_be_known([parent_asin])
        with self._change():
            if parent_asin not in self._given:
                self._row(self._shop, parent_asin)
            state = self.store.put_state(parent_asin, said)
            self._states = {**self._states, parent_asin: state}
            self._shop = self._shop.with_states(self._states)
            return self._shop.state_of(parent_asin)

    def forget(
        self, user_id: str, leaving: AbstractContextManager[object] | None = None
    ) -> dict[str, Any]:
        """Delete all that was given of a user, whom the next answer does not know.

        Args:
            user_id: of the user.
            leaving: lasts from before the deletion until the user is unknown here and nothing of
                the user can have been given anew; keeps others from writing of the user meanwhile.

        Raises:
            DatabaseDown: nothing was deleted.
        """
        with self._change(), leaving or nullcontext():
            done = self._shop.past(user_id, None) or []
            known_ms = max((event.time_ms for event in done), default=0)
            mark, events = self.store.forget(user_id, known_ms)
            # By the mark: the database may go away before it could be read again.
            forgotten = Forgotten.of([*self._shop.forgotten, mark])
            self._shop = replace(self._shop.with_past(user_id, []), forgotten=forgotten)
            version = self._shop.manifest.set
        return {"events": events, "erased": self._scrubbed(), "version": version}

    def drop_events(
        self, user_id: str, parent_asin: str | None, time_ms: int | None
    ) -> dict[str, Any]:
        """Delete events that were given of a user: all, or those of an item, of a moment.

        Raises:
            DatabaseDown: nothing was deleted.
        """
        with self._change():
            events = self.store.drop_events(user_id, parent_asin, time_ms)
            left = [
                event
                for event in self._shop.since.get(user_id, ())
                if parent_asin not in (None, event.parent_asin)
                or time_ms not in (None, event.time_ms)
            ]
            self._shop = self._shop.with_past(user_id, left)
            version = self._shop.manifest.set
        return {"events": events, "erased": not events or self._scrubbed(), "version": version}

    def add_events(self, given: Sequence[NewEvent]) -> tuple[str, list[NewEvent]]:
        """Store users' events, all or none, which the next answers know.

        Those that date from before their user was forgotten come too late, and are left out.

        Returns:
            The set, and the events that were stored.

        Raises:
            UnknownItem: there is no such item.
            DatabaseDown: nothing was stored.
        """
        now = int(time.time() * 1000)
        self._must_be_known([one.parent_asin for one in given])
        with self._change():
            for one in given:
                if one.parent_asin not in self._given:
                    self._row(self._shop, one.parent_asin)
            allows = self._shop.forgotten.allows
            kept = [one for one in given if allows(one.user_id, one.as_past(now).time_ms)]
            events = [GivenEvent(e.user_id, e.as_past(now), e.recommendation_id) for e in kept]
            self.store.put_events(events)
            done: dict[str, list[Past]] = {}
            for event in events:
                done.setdefault(event.user_id, []).append(event.event)
            self._shop = self._shop.with_events(done)
            return self._shop.manifest.set, kept

    def change_to(self, base: Snapshot, also: Callable[[], None] = lambda: None) -> None:
        """Serve another set, with all that was given; until then the one before takes changes.

        ``also`` changes what else belongs to it.
        """
        self._make_known(base)
        with self._changing:
            self._begin(base)
            also()
        self._fill_in()
        self._rows.forget_others([base, *self._beside()], list(self._given.values()))

    def restore(self) -> None:
        """Read what was given, whenever the database is there again; make what is not made yet.

        Raises:
            DatabaseDown: it could not be read, which is to be tried again.
        """
        with self._changing:
            if not self._begin(self._base):
                raise DatabaseDown("what was given before could not be read")
            self._restored = True
        self._fill_in()

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Store something and change the shop by it, one after the other.

        While the database is away nobody waits for the turn: waiting threads are missed elsewhere.

        Raises:
            DatabaseDown: nothing can be stored.
        """
        self.store.must_answer()
        with self._changing:
            yield

    def _beside(self) -> list[Snapshot]:
        """Return the sets that are answered from beside the served one, with what was given."""
        return []

    def _fill_in(self) -> None:
        """Have the rows made that are not, in the background."""
        if self.waiting_items:
            self._filling = threading.Thread(target=self._fill, name="given", daemon=True)
            self._filling.start()

    def _fill(self) -> None:
        """Make the rows of items that were given before, and add them as they come."""
        shop = self._base
        missing = [item for name, item in self._given.items() if name not in self._added]
        missing = [item for item in missing if not is_taken_in(shop, item)]
        try:
            for rows in self._rows.make(shop, missing, lambda: not self._closing.is_set()):
                with self._changing:
                    if self._base is not shop:  # another set makes its own
                        return
                    self._add({n: r for n, r in rows.items() if n not in self._added})
        except Exception as error:
            LOG.error("given", extra={"event": "items_not_added", "error": repr(error)})

    def _put_items(self, latest: Mapping[str, NewItem], made: Mapping[str, NewRow]) -> str:
        self.store.put_items(list(latest.values()))
        self._given = {**self._given, **latest}
        known = self._states
        back = {name: known[name].given_anew() for name in latest.keys() & known.keys()}
        self._states = {**known, **back}
        self._add(made)
        return self._shop.manifest.set

    def _make_known(self, base: Snapshot) -> None:
        given = list(self._given.values())
        known = self._rows.known(base, given)
        missing = [i for i in given if i.parent_asin not in known and not is_taken_in(base, i)]
        for _ in self._rows.make(base, missing, lambda: not self._closing.is_set()):
            pass

    def _begin(self, base: Snapshot) -> bool:
        """Serve a set with all events that the store holds, and the items whose rows are made.

        An item that was given stands above the set's own record of it, unless that was made of it.
        Without the database, what this engine has been given itself is taken over.

        Returns:
            Whether the store was read.
        """
        events: Mapping[str, Sequence[Past]]
        forgotten, is_read = self._shop.forgotten, True
        try:
            self._given = {item.parent_asin: item for item in self.store.items()}
            self._states = self.store.states()
            forgotten = self.store.forgotten()
            events = self.store.events()
        except DatabaseDown:
            events, is_read = self._shop.since, False
        since = {user: distinct(past) for user, past in events.items()}
        given = [item for item in self._given.values() if not is_taken_in(base, item)]
        added = self._rows.known(base, given)
        dressed = replace(base, since=since, forgotten=forgotten)
        self._shop = add_rows(dressed, list(added.values())).with_states(self._states)
        self._base, self._added = base, added  # last: what is in it is answered
        self._waiting = frozenset(item.parent_asin for item in given).difference(added)
        return is_read

    def _add(self, rows: Mapping[str, NewRow]) -> None:
        """Add rows to the shop; where one is replaced, put all into their places anew."""
        added = {**self._added, **rows}
        if rows.keys() & self._added.keys():
            shop = self._shop
            base = replace(self._base, since=shop.since, forgotten=shop.forgotten)
            grown = add_rows(base, list(added.values()))
        else:
            grown = add_rows(self._shop, list(rows.values()))
        self._shop = grown.with_states(self._states)
        self._added = added  # last: what is in it is answered
        self._waiting = self._waiting.difference(rows)

    def _row(self, shop: Snapshot, parent_asin: str) -> int:
        row = shop.space.row_of.get(parent_asin)
        if row is None:
            raise UnknownItem(shop.unknown(parent_asin))
        return row

    def _must_be_known(self, names: Sequence[str]) -> None:
        """Look ids up before the lock is taken: no change waits while the nearest one is found."""
        for name in names:
            if name not in self._given:
                self._row(self._shop, name)

    def _scrubbed(self) -> bool:
        try:
            return self.store.scrub()
        except DatabaseDown:
            return False
