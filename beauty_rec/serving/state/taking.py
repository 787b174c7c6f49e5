"""What the pipeline takes in of what was given over the API: files in the layout of the inputs.

They are written anew by every look at the store, so that a run reads one moment of it, and so that
what was deleted is in them no more. Without a store, or with an empty one, there are none.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.corpus.intake.given import GivenKind, taken_path
from beauty_rec.recommender.online.events import CHOICES
from beauty_rec.search.pgvector.owner import claim
from beauty_rec.serving.state.connection import DatabaseDown
from beauty_rec.serving.state.database import STORE, Store, has_store
from beauty_rec.settings import Settings, redacted
from beauty_rec.verified import keeps

LOG = logging.getLogger("beauty_rec.serving")


def take(settings: Settings, kind: GivenKind) -> str:
    """Write what the store holds now, where anything may be written; return it.

    Nothing, and no file, where there is nothing. While the database is away, and in a folder that
    is read-only, what was taken last stays.
    """
    path = taken_path(settings.data_dir, kind)
    try:
        with open_store(settings) as store:
            if store is None and Store.of(settings).read_only:
                return _taken(path)
            text = "" if store is None else _text(store, kind)
    except DatabaseDown as error:
        LOG.warning(
            "what the API was told (%s) is not read anew, what was read last counts: %s",
            kind,
            redacted(str(error)),
            extra={"event": "shop_not_read", "error": str(error)},
        )
        return _taken(path)
    if keeps():
        if text:
            write_text_atomic(path, text)
        else:
            path.unlink(missing_ok=True)
    return text


@contextmanager
def open_store(settings: Settings) -> Iterator[Store | None]:
    """Yield the store of a data folder; None where there is none yet, or none may be opened."""
    if settings.item_index.dsn is None and not has_store(settings.data_dir / STORE):
        yield None
        return
    with made_store(settings) as store:
        yield store


@contextmanager
def made_store(settings: Settings) -> Iterator[Store]:
    """Yield the store of a data folder, which is made where there is none.

    Raises:
        DatabaseDown: it cannot be opened.
        RuntimeError: the database is another shop's.
    """
    claim(settings)
    store = Store.of(settings)
    try:
        store.open()
        yield store
    finally:
        store.close()


def _taken(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _text(store: Store, kind: GivenKind) -> str:
    if kind == "forgotten":
        found = store.forgotten()
        if not store.is_scrubbed():
            store.scrub(at_leisure=True)  # what was too large, or in use, when it was deleted
        return found.dump() if len(found) else ""
    rows = _events(store) if kind == "events" else _items(store)
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _events(store: Store) -> Iterator[dict[str, Any]]:
    for user, events in sorted(store.events().items()):
        for event in sorted(events, key=lambda each: (each.time_ms, each.parent_asin)):
            if event.type in CHOICES:
                yield {
                    "user_id": user,
                    "parent_asin": event.parent_asin,
                    "rating": event.rating,
                    "timestamp": event.time_ms,
                }


def _items(store: Store) -> Iterator[dict[str, Any]]:
    """Yield the given items; and of an item with a price of its own, that alone."""
    prices = {name: state.price for name, state in store.states().items()}
    items = {item.parent_asin: item for item in store.items()}
    for name in sorted({*items, *(n for n, price in prices.items() if price is not None)}):
        price = prices.get(name)
        row = items[name].as_row() if name in items else {"parent_asin": name}
        yield row if price is None else {**row, "price": price}
