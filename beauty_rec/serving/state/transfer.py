"""What was given while serving, as JSON Lines: to keep it elsewhere, and to give it again.

A line is ``{"item": {…}}`` or ``{"event": {…}}``, as `POST /v1/items` and `/v1/events` take them.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pydantic import BaseModel, ConfigDict, ValidationError

from beauty_rec.recommender.online.requests import NewEvent, NewItem
from beauty_rec.serving.state.database import STORE, GivenEvent, Store
from beauty_rec.settings import Settings


class Line(BaseModel):
    """A line of the file: one of the two."""

    model_config = ConfigDict(extra="forbid")

    item: NewItem | None = None
    event: NewEvent | None = None


def export_given(settings: Settings) -> Iterator[str]:
    """Yield a line for each item and event that was given, oldest first.

    Raises:
        DatabaseDown: they cannot be read.
    """
    with _store(settings) as store:
        for item in store.items():
            yield json.dumps({"item": item.model_dump(mode="json")}, ensure_ascii=False)
        for user, event, recommendation_id in store.given_events():
            given = {
                "user_id": user,
                "parent_asin": event.parent_asin,
                "type": event.type,
                "rating": event.rating,
                "timestamp": event.time_ms,
            }
            if recommendation_id is not None:
                given["recommendation_id"] = recommendation_id
            yield json.dumps({"event": given}, ensure_ascii=False)


def import_given(settings: Settings, lines: Iterable[str]) -> tuple[int, int]:
    """Store the items and events of ``lines``; return how many of each. Doing it again is harmless.

    Raises:
        ValueError: a line is none that was exported; nothing was stored.
        DatabaseDown: they cannot be stored.
    """
    items, events = [], []
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            line = Line.model_validate_json(text)
            if (line.item is None) == (line.event is None):
                raise ValueError("neither an item nor an event")
            if line.event is not None and line.event.timestamp is None:
                raise ValueError("an event without a timestamp")
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"]))
            raise ValueError(f"line {number}: {where}: {fault['msg']}") from error
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
        if line.item is not None:
            items.append(line.item)
        elif line.event is not None:
            events.append(line.event)
    with _store(settings) as store:
        store.put_items(items)
        store.put_events([GivenEvent(e.user_id, e.as_past(0), e.recommendation_id) for e in events])
    return len(items), len(events)


@contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    store = Store(settings.data_dir / STORE, settings.item_index.dsn)
    try:
        store.open()
        yield store
    finally:
        store.close()
