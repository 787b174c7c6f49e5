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
from pathlib import Path
from typing import Any

import numpy as np

from beauty_rec.artifacts import content_hash
from beauty_rec.recommender.online.manifest import Manifest, ManifestError
from beauty_rec.recommender.online.new_items import add_items
from beauty_rec.recommender.online.people import Past
from beauty_rec.recommender.online.reasons import attributes_of
from beauty_rec.recommender.online.recommend import recommend
from beauty_rec.recommender.online.requests import NewEvent, NewItem, RecommendRequest
from beauty_rec.recommender.online.search import SearchQuestion, search, similar
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.serving.published.manifest import MANIFEST, read_manifest, set_folder
from beauty_rec.serving.state.database import STORE, DatabaseDown, Store
from beauty_rec.serving.state.threads import in_passing
from beauty_rec.settings import EncoderSettings, Settings

LOG = logging.getLogger("beauty_rec.serving")
ITEMS_AT_ONCE = 16
"""New items whose vectors are made before requests get their turn again."""


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
        self._shop = in_passing(load_set, self.root, manifest, settings.encoder)
        self._changing = threading.RLock()
        self._restored = False
        self._given_items: Sequence[NewItem] = ()
        self._refused_token = ""
        self.refused: str | None = None
        """Why the newest manifest is not served; None when it is."""
        self.switches = self.refusals = 0
        self.store = Store(settings.data_dir / STORE, settings.item_index.dsn, self._restore)

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
            engine.store.open()
            yield engine
        finally:
            engine.store.close()

    @property
    def shop(self) -> Snapshot:
        """What answers come from now."""
        return self._shop

    @property
    def ready(self) -> list[str]:
        """Return why the engine is not ready; nothing when it is."""
        reasons = []
        if not self.store.healthy:
            reasons.append("the database is away: writes wait, answers go on")
        elif not self._restored:
            reasons.append("items and events given before are being read")
        return reasons

    def recommend(self, requests: Sequence[RecommendRequest]) -> list[dict[str, Any]]:
        """See :func:`~beauty_rec.recommender.online.recommend.recommend`."""
        return recommend(self._shop, requests, self.settings.serve)

    def search(self, questions: Sequence[SearchQuestion]) -> list[dict[str, Any]]:
        """See :func:`~beauty_rec.recommender.online.search.search`."""
        return search(self._shop, questions)

    def similar(self, parent_asin: str, k: int) -> dict[str, Any]:
        """Return the items whose texts are nearest to an item's.

        Raises:
            UnknownItem: there is no such item.
        """
        shop = self._shop
        return similar(shop, self._row(shop, parent_asin), k)

    def item(self, parent_asin: str) -> dict[str, Any]:
        """Return an item with all that is known of it.

        Raises:
            UnknownItem: there is no such item.
        """
        shop = self._shop
        card = shop.catalogue.card(self._row(shop, parent_asin))
        table = shop.path.table
        place = table.row_of.get(parent_asin, len(table.ids))
        return {
            **card,
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
            shop = self._with_items(self._shop, items)
            self.store.put_items(items)
            self._given_items = [*self._given_items, *items]
            self._shop = shop
            return shop.manifest.set

    def add_event(self, given: NewEvent) -> str:
        """Store a user's event, which the next answer knows.

        Raises:
            UnknownItem: there is no such item.
            DatabaseDown: nothing was stored.
        """
        with self._changing:
            self._row(self._shop, given.parent_asin)
            at = int(time.time() * 1000) if given.timestamp is None else given.timestamp
            event = Past(given.parent_asin, given.rating, at)
            self.store.put_event(given.user_id, event)
            self._shop = self._shop.with_event(given.user_id, event)
            return self._shop.manifest.set

    def look(self) -> bool:
        """Serve the newest manifest if it is another; return whether it was switched to.

        A set that is not whole, or does not fit together, is refused: what is served stays.
        """
        try:
            manifest = read_manifest(self.root)
            if manifest.set == self._shop.manifest.set:
                self.refused = None
                return False
            token = content_hash(self.root / MANIFEST)
            if self.refused is not None and token == self._refused_token:
                return False
            loaded = in_passing(load_set, self.root, manifest, self.settings.encoder)
        except (ManifestError, FileNotFoundError) as error:
            if str(error) != self.refused:
                self.refusals += 1
                LOG.error("refused", extra={"event": "set_refused", "error": str(error)})
            self.refused = str(error)
            path = self.root / MANIFEST
            self._refused_token = content_hash(path) if path.exists() else ""
            return False
        with self._changing:
            self._shop = self._with_given(loaded)
        self.refused = None
        self.switches += 1
        LOG.info("switched", extra={"event": "set_switched", "set": manifest.set})
        return True

    def _restore(self) -> None:
        """Read what was given before, once the database is there."""
        if not self._restored:
            with self._changing:
                self._shop = self._with_given(self._shop)
                self._restored = True

    def _with_given(self, shop: Snapshot) -> Snapshot:
        """Return the shop with all items and events that the store holds.

        An item that was given stands above the set's own record of it. Without the database, what
        this engine has been given itself is taken over.
        """
        items: Sequence[NewItem]
        events: Mapping[str, Sequence[Past]]
        try:
            items, events = self.store.items(), self.store.events()
        except DatabaseDown:
            if not self._restored:
                return shop
            items, events = self._given_items, self._shop.since
        self._given_items = items
        since = {user: sorted(past, key=lambda e: e.time_ms) for user, past in events.items()}
        return self._with_items(replace(shop, since=since), items)

    def _with_items(self, shop: Snapshot, items: Sequence[NewItem]) -> Snapshot:
        latest = list({item.parent_asin: item for item in items}.values())
        for start in range(0, len(latest), ITEMS_AT_ONCE):
            some = latest[start : start + ITEMS_AT_ONCE]
            shop = in_passing(add_items, shop, some, self.settings)
        return shop

    @staticmethod
    def _row(shop: Snapshot, parent_asin: str) -> int:
        row = shop.space.row_of.get(parent_asin)
        if row is None:
            raise UnknownItem(f"no item {parent_asin!r}")
        return row
