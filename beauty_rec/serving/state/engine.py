"""The recommender of a data folder: the shop of now, its questions, and what changes it.

>>> with Engine.open(settings) as engine:  # doctest: +SKIP
...     engine.recommend([RecommendRequest(context="a rose soap")])
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beauty_rec.corpus.forgotten import Forgotten
from beauty_rec.corpus.intake.given import taken_path
from beauty_rec.recommender.online.feeds.answer import feed
from beauty_rec.recommender.online.feeds.question import FeedQuestion
from beauty_rec.recommender.online.people import Past
from beauty_rec.recommender.online.reasons import attributes_of
from beauty_rec.recommender.online.recommend import best_of, recommend
from beauty_rec.recommender.online.requests import NewEvent, NewItem, RecommendRequest, SimilarBy
from beauty_rec.recommender.online.search import SearchQuestion, search, similar
from beauty_rec.recommender.online.sets.manifest import Manifest
from beauty_rec.recommender.online.sets.trial import try_out
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.stock.filters import ANYTHING, Filter
from beauty_rec.recommender.online.stock.new_items import NewRow, add_rows, is_taken_in
from beauty_rec.recommender.online.stock.states import ItemState
from beauty_rec.serving.published.manifest import read_manifest, set_folder
from beauty_rec.serving.state.connection import READ_ONLY, DatabaseDown
from beauty_rec.serving.state.database import STORE, GivenEvent, Store
from beauty_rec.serving.state.garbage import set_aside
from beauty_rec.serving.state.given import GivenRows
from beauty_rec.serving.state.nearest import nearest
from beauty_rec.serving.state.rules import RulesKeeper
from beauty_rec.serving.state.threads import in_passing
from beauty_rec.settings import EncoderSettings, Settings

LOG = logging.getLogger("beauty_rec.serving")
TRY_AGAIN_SECONDS = 30.0
"""After which a refused set is read once more: what was in its way may have passed."""


def load_set(root: Path, manifest: Manifest, settings: EncoderSettings) -> Snapshot:
    """Read the set that ``manifest`` names, below ``root``, every part held against its hash.

    Raises:
        ManifestError: a part is missing, changed, or does not fit the others.
    """
    return Snapshot.load(set_folder(root, manifest), manifest, settings)


class UnknownItem(LookupError):
    """No item of this id."""


class Engine:
    """Answers from one shop; changes replace the shop. Threads may share an engine."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.root = settings.data_dir / "serving"
        manifest = read_manifest(self.root)
        self._base = in_passing(load_set, self.root, manifest, settings.encoder)
        # Until the store is read, which a read-only folder's never is, as of the last run.
        forgotten = Forgotten.load(taken_path(settings.data_dir, "forgotten"))
        self._shop = replace(self._base, forgotten=forgotten)
        self.rules = RulesKeeper(settings.serve.rules, self._base)
        self._changing = threading.RLock()
        self._restored = False
        self._given: dict[str, NewItem] = {}
        self._added: dict[str, NewRow] = {}
        self._states: dict[str, ItemState] = {}
        self._closing = threading.Event()
        self._filling: threading.Thread | None = None
        self._tried, self._try_again = "", 0.0
        self.refused: str | None = None
        """Why the newest manifest is not served; None when it is."""
        self.switches = self.refusals = 0
        self.looked = time.monotonic()
        """When the last look for a newer set came back."""
        self.store = Store(settings.data_dir / STORE, settings.item_index.dsn, self._restore)
        self._rows = GivenRows(self.store, settings)

    @classmethod
    @contextmanager
    def open(cls, settings: Settings) -> Iterator["Engine"]:
        """Yield an engine that knows what was given before, and close it.

        Raises:
            FileNotFoundError: nothing was published yet.
            ManifestError: the set is not what its manifest says.
            DatabaseDown: what was given before cannot be read.
        """
        engine = cls(settings)
        try:
            if engine.store.read_only:
                LOG.warning(READ_ONLY)
            else:
                engine.store.open()
            if engine._filling is not None:
                engine._filling.join()
            yield engine
        finally:
            engine.close()

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

    @property
    def waiting_items(self) -> int:
        """Items given before whose vectors are not made yet: they are not answered yet."""
        added, base = self._added, self._base
        given = list(self._given.values())
        return sum(i.parent_asin not in added and not is_taken_in(base, i) for i in given)

    @property
    def set_age_seconds(self) -> float:
        """How long ago the served set was published."""
        published = datetime.fromisoformat(self._shop.manifest.created_at)
        return (datetime.now(UTC) - published).total_seconds()

    @property
    def ready(self) -> list[str]:
        """Return why the engine is not ready; nothing when it is."""
        reasons = []
        if self.store.read_only:
            return []
        if not self.store.healthy:
            reasons.append("the database is away: writes wait, answers go on")
        elif not self._restored:
            reasons.append("items and events given before are being read")
        return reasons

    def recommend(self, requests: Sequence[RecommendRequest]) -> list[dict[str, Any]]:
        """See :func:`~beauty_rec.recommender.online.recommend.recommend`."""
        shop = self._shop
        return recommend(shop, requests, self.settings.serve, self.rules.of(shop))

    def best(
        self, requests: Sequence[RecommendRequest]
    ) -> list[tuple[list[str], NDArray[np.float32]]]:
        """Return ids and scores of the items that :meth:`recommend` answers, without all else."""
        shop = self._shop
        found = best_of(shop, requests, self.settings.serve, self.rules.of(shop))
        return [([shop.space.ids[row] for row in rows], scores) for rows, scores in found]

    def search(self, questions: Sequence[SearchQuestion]) -> list[dict[str, Any]]:
        """See :func:`~beauty_rec.recommender.online.search.search`."""
        return search(self._shop, questions, self.settings.serve)

    def check(self, filters: Filter) -> None:
        """Hold a filter against the shop of now.

        Raises:
            UnknownFilter: it names a field or a value that no item has.
        """
        self._shop.catalogue.passing(filters)

    def look_at_rules(self) -> bool:
        """See :meth:`~beauty_rec.serving.state.rules.RulesKeeper.look`."""
        return self.rules.look(self._shop)

    def similar(
        self, parent_asin: str, k: int, by: SimilarBy, filters: Filter = ANYTHING
    ) -> dict[str, Any]:
        """See :func:`~beauty_rec.recommender.online.search.similar`.

        Raises:
            UnknownItem: there is no such item.
            UnknownFilter: a filter names what no item has.
        """
        shop = self._shop
        return similar(shop, self._row(shop, parent_asin), k, by, filters)

    def feed(self, question: FeedQuestion) -> dict[str, Any]:
        """See :func:`~beauty_rec.recommender.online.feeds.answer.feed`."""
        shop = self._shop
        return feed(shop, question, self.rules.of(shop), self.settings.serve)

    def item(self, parent_asin: str) -> dict[str, Any]:
        """Return an item with all that is known of it.

        Raises:
            UnknownItem: there is no such item.
        """
        shop = self._shop
        row = self._row(shop, parent_asin)
        card = shop.catalogue.card(row)
        table = shop.path.table
        place = table.row_of.get(parent_asin, len(table.ids))
        return {
            **card,
            "hidden": bool(shop.catalogue.hidden[row]),
            "version": shop.manifest.set,
            "attributes": attributes_of(shop.path.builder, parent_asin),
            "train_events": round(float(np.expm1(table.events.log_count[place]))),
        }

    def add_items(self, items: Sequence[NewItem]) -> str:
        """Store items and make them searchable; return the set they are added to.

        Raises:
            UnknownAttribute: an attribute is given that there is no field for.
            DatabaseDown: nothing was stored.
        """
        with self._changing:
            latest = {item.parent_asin: item for item in items}
            made: dict[str, NewRow] = {}
            for rows in self._rows.make(self._shop, list(latest.values())):
                made |= rows
            self.store.put_items(list(latest.values()))
            self._given = {**self._given, **latest}
            known = self._states
            back = {  # what is given anew is not withdrawn
                name: ItemState(in_stock=known[name].in_stock)
                for name in latest.keys() & known.keys()
            }
            self._states = {**known, **back}
            self._add(made)
            return self._shop.manifest.set

    def set_state(self, parent_asin: str, **said: Any) -> dict[str, Any]:
        """Store what was said of an item (see :class:`.ItemState`), which the next answer knows.

        Raises:
            UnknownItem: there is no such item.
            DatabaseDown: nothing was stored.
        """
        with self._changing:
            if parent_asin not in self._given:
                self._row(self._shop, parent_asin)
            state = self._states.get(parent_asin, ItemState())._replace(**said)
            self.store.put_states({parent_asin: state})
            self._states = {**self._states, parent_asin: state}
            self._shop = self._shop.with_states(self._states)
            return self._state_of(self._shop, parent_asin)

    def forget(self, user_id: str) -> dict[str, Any]:
        """Delete all that was given of a user, whom the next answer does not know.

        Raises:
            DatabaseDown: nothing was deleted.
        """
        with self._changing:
            events = len(self._shop.since.get(user_id, ()))
            self.store.forget(user_id)
            since = {user: past for user, past in self._shop.since.items() if user != user_id}
            self._shop = replace(self._shop, since=since, forgotten=self.store.forgotten())
            version = self._shop.manifest.set
        return {"events": events, "erased": self._scrubbed(), "version": version}

    def drop_events(
        self, user_id: str, parent_asin: str | None, time_ms: int | None
    ) -> dict[str, Any]:
        """Delete events that were given of a user: all, or those of an item, of a moment.

        Raises:
            DatabaseDown: nothing was deleted.
        """
        with self._changing:
            events = self.store.drop_events(user_id, parent_asin, time_ms)
            left = [
                event
                for event in self._shop.since.get(user_id, ())
                if parent_asin not in (None, event.parent_asin)
                or time_ms not in (None, event.time_ms)
            ]
            since = {user: past for user, past in self._shop.since.items() if user != user_id}
            self._shop = replace(self._shop, since=since | ({user_id: left} if left else {}))
            version = self._shop.manifest.set
        return {"events": events, "erased": not events or self._scrubbed(), "version": version}

    def add_events(self, given: Sequence[NewEvent]) -> str:
        """Store users' events, all or none, which the next answers know.

        Raises:
            UnknownItem: there is no such item.
            DatabaseDown: nothing was stored.
        """
        now = int(time.time() * 1000)
        with self._changing:
            for one in given:
                if one.parent_asin not in self._given:
                    self._row(self._shop, one.parent_asin)
            events = [GivenEvent(e.user_id, e.as_past(now), e.recommendation_id) for e in given]
            self.store.put_events(events)
            done: dict[str, list[Past]] = {}
            for event in events:
                done.setdefault(event.user_id, []).append(event.event)
            self._shop = self._shop.with_events(done)
            return self._shop.manifest.set

    def look(self) -> bool:
        """Serve the newest manifest if it is another; return whether it was switched to.

        A set that is not whole, does not fit together or cannot answer is refused, and so is one
        that cannot be read now: what is served stays. It is tried again after a while.
        """
        try:
            return self._switch()
        except Exception as error:
            self.refusals += 1
            if str(error) != self.refused:
                LOG.error("refused", extra={"event": "set_refused", "error": str(error)})
            self.refused = str(error)
            return False
        finally:
            self.looked = time.monotonic()

    def _switch(self) -> bool:
        manifest = read_manifest(self.root)
        if manifest.set == self._shop.manifest.set:
            self.refused = None
            return False
        token, now = manifest.model_dump_json(), time.monotonic()
        if token == self._tried and now < self._try_again:
            return False
        self._tried, self._try_again = token, now + TRY_AGAIN_SECONDS
        loaded = in_passing(load_set, self.root, manifest, self.settings.encoder)
        in_passing(try_out, loaded, self.settings.serve)
        self._make_known(loaded)  # while the set before is served, and takes items
        with self._changing:
            self._begin(loaded)
        self._fill_in()
        self._rows.forget_others(loaded, list(self._given.values()))
        set_aside()
        self.refused = None
        self.switches += 1
        LOG.info("switched", extra={"event": "set_switched", "set": manifest.set})
        return True

    def _restore(self) -> None:
        """Read what was given before, once the database is there; make what is not made yet."""
        if not self._restored:
            with self._changing:
                self._begin(self._base)
                self._restored = True
            self._fill_in()

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

    def _make_known(self, base: Snapshot) -> None:
        given = list(self._given.values())
        known = self._rows.known(base, given)
        missing = [i for i in given if i.parent_asin not in known and not is_taken_in(base, i)]
        for _ in self._rows.make(base, missing, lambda: not self._closing.is_set()):
            pass

    def _begin(self, base: Snapshot) -> None:
        """Serve a set with all events that the store holds, and the items whose rows are made.

        An item that was given stands above the set's own record of it, unless they are the same.
        Without the database, what this engine has been given itself is taken over.
        """
        events: Mapping[str, Sequence[Past]]
        forgotten = self._shop.forgotten
        try:
            self._given = {item.parent_asin: item for item in self.store.items()}
            self._states = self.store.states()
            forgotten = self.store.forgotten()
            events = self.store.events()
        except DatabaseDown:
            events = self._shop.since
        since = {user: sorted(past, key=lambda e: e.time_ms) for user, past in events.items()}
        given = [item for item in self._given.values() if not is_taken_in(base, item)]
        self._base, self._added = base, self._rows.known(base, given)
        dressed = replace(base, since=since, forgotten=forgotten)
        shop = add_rows(dressed, list(self._added.values()))
        self._shop = shop.with_states(self._states)

    def _add(self, rows: Mapping[str, NewRow]) -> None:
        """Add rows to the shop; where one is replaced, put all into their places anew."""
        replaced = rows.keys() & self._added.keys()
        self._added = {**self._added, **rows}
        if replaced:
            shop = self._shop
            base = replace(self._base, since=shop.since, forgotten=shop.forgotten)
            grown = add_rows(base, list(self._added.values()))
        else:
            grown = add_rows(self._shop, list(rows.values()))
        self._shop = grown.with_states(self._states)

    @staticmethod
    def _row(shop: Snapshot, parent_asin: str) -> int:
        row = shop.space.row_of.get(parent_asin)
        if row is None:
            like = nearest(parent_asin, shop.space.row_of)
            hint = "" if like is None else f"; the nearest known one is {like!r}"
            raise UnknownItem(f"no item {parent_asin!r}{hint}")
        return row

    @staticmethod
    def _state_of(shop: Snapshot, parent_asin: str) -> dict[str, Any]:
        row = shop.space.row_of.get(parent_asin)
        if row is None:  # it was given, and its vectors are not made yet
            return {"parent_asin": parent_asin, "version": shop.manifest.set}
        card = shop.catalogue.card(row)
        return {
            "parent_asin": parent_asin,
            "hidden": bool(shop.catalogue.hidden[row]),
            "in_stock": card["in_stock"],
            "price": card["price"],
            "version": shop.manifest.set,
        }

    def _scrubbed(self) -> bool:
        try:
            return self.store.scrub()
        except DatabaseDown:
            return False
