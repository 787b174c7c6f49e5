"""Items that came while serving: what they add to a set, made once and kept in the database.

Their vectors cost more than all else at a start, and change only with the item or the models. So
they are kept by a hash of both, and losing them costs time, nothing else.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from beauty_rec.recommender.online.requests import NewItem
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.stock.new_items import NewRow, make_rows, maker
from beauty_rec.row_cache import content_keys
from beauty_rec.serving.state.connection import DatabaseDown
from beauty_rec.serving.state.database import KeptRow, Store
from beauty_rec.serving.state.threads import in_passing
from beauty_rec.settings import Settings

LOG = logging.getLogger("beauty_rec.serving")
AT_ONCE = 16
"""New items whose vectors are made before requests get their turn again."""


class GivenRows:
    """Rows of given items for a set; threads may share it."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._kept: dict[str, NewRow] = {}
        self._lock = threading.Lock()

    def known(self, shop: Snapshot, items: Sequence[NewItem]) -> dict[str, NewRow]:
        """Return the rows that were made before, by item."""
        keys = self._keys(shop, items)
        with self._lock:
            self._read([key for key in keys.values() if key not in self._kept])
            return {name: self._kept[key] for name, key in keys.items() if key in self._kept}

    def make(
        self,
        shop: Snapshot,
        items: Sequence[NewItem],
        go_on: Callable[[], bool] = lambda: True,
    ) -> Iterator[dict[str, NewRow]]:
        """Yield the rows of some more items, until all are made."""
        for start in range(0, len(items), AT_ONCE):
            if not go_on():
                return
            some = items[start : start + AT_ONCE]
            made = in_passing(make_rows, shop, some, self._settings)
            rows = {item.parent_asin: row for item, row in zip(some, made, strict=True)}
            self._keep(shop, some, rows)
            yield rows

    def forget_others(self, shops: Sequence[Snapshot], items: Sequence[NewItem]) -> None:
        """Drop what was made for other models than these, and of items as they were before."""
        keys = {key for shop in shops for key in self._keys(shop, items).values()}
        with self._lock:
            self._kept = {key: row for key, row in self._kept.items() if key in keys}
        try:
            self._store.keep_rows(keys)
        except DatabaseDown:
            LOG.info("rows", extra={"event": "rows_not_dropped"})

    def _keys(self, shop: Snapshot, items: Sequence[NewItem]) -> dict[str, str]:
        made_by = maker(shop, self._settings)
        keys = content_keys([(made_by, item.model_dump_json()) for item in items])
        return {item.parent_asin: key for item, key in zip(items, keys, strict=True)}

    def _read(self, keys: Sequence[str]) -> None:
        try:
            found = self._store.rows(keys) if keys else []
        except DatabaseDown:
            return
        for row in found:
            vectors = np.frombuffer(row.vectors, np.float32)
            self._kept[row.key] = NewRow(vectors, row.made["sparse"], row.made["text"],
                                         row.made["card"])  # fmt: skip

    def _keep(self, shop: Snapshot, items: Sequence[NewItem], rows: Mapping[str, NewRow]) -> None:
        kept = []
        for name, key in self._keys(shop, items).items():
            row = rows[name]
            made = {"sparse": row.sparse, "text": row.text, "card": row.card}
            kept.append(KeptRow(key, made, row.vectors.tobytes()))
            with self._lock:
                self._kept[key] = row
        try:
            self._store.put_rows(kept)
        except DatabaseDown:  # they are made anew after the next start
            LOG.info("rows", extra={"event": "rows_not_kept"})
