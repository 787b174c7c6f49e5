"""What was given while serving, as JSON Lines: to keep it elsewhere, and to give it again.

A line is ``{"item": {…}}`` or ``{"event": {…}}``, as `POST /v1/items` and `/v1/events` take them,
``{"state": {…}}``, what was said of an item beside, or ``{"forgotten": {…}}``, a user's hash.
"""

import json
from collections.abc import Iterable, Iterator

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from beauty_rec.corpus.forgotten import Mark
from beauty_rec.recommender.online.requests import NewEvent, NewItem
from beauty_rec.recommender.online.stock.states import ItemState
from beauty_rec.recommender.online.values import Id, Model, Price
from beauty_rec.serving.state.database import STORE, GivenEvent
from beauty_rec.serving.state.taking import made_store, open_store
from beauty_rec.settings import Settings


class State(Model):
    """What was said of an item; see :class:`.ItemState`."""

    parent_asin: Id
    hidden: bool | None = None
    in_stock: bool | None = None
    price: Price | None = None


class ForgottenUser(Model):
    """That a user is forgotten; see :class:`.Mark`."""

    salt: str = Field(pattern=r"^([0-9a-f]{2})+$")
    digest: str = Field(pattern=r"^([0-9a-f]{2})+$")
    at_ms: int

    def mark(self) -> Mark:
        """Return it as the store keeps it."""
        return Mark(bytes.fromhex(self.salt), bytes.fromhex(self.digest), self.at_ms)


class Line(BaseModel):
    """A line of the file: one of these."""

    model_config = ConfigDict(extra="forbid")

    item: NewItem | None = None
    event: NewEvent | None = None
    state: State | None = None
    forgotten: ForgottenUser | None = None

    @property
    def count(self) -> int:
        """How many of them it holds."""
        return sum(part is not None for part in (self.item, self.event, self.state, self.forgotten))


def export_given(settings: Settings) -> Iterator[str]:
    """Yield a line for all that was given: items, oldest first, their states, events, hashes.

    Raises:
        FileNotFoundError: there is no store in the data folder, or none that can be opened there.
        DatabaseDown: they cannot be read.
    """
    with open_store(settings) as store:
        if store is None:
            raise FileNotFoundError(
                f"{settings.data_dir / STORE} is no store that can be opened: nothing was given "
                "there yet, or it is read-only; see how --data-dir is spelt"
            )
        for item in store.items():
            yield json.dumps({"item": item.model_dump(mode="json")}, ensure_ascii=False)
        for name, state in store.states().items():
            yield json.dumps({"state": {"parent_asin": name, **state._asdict()}})
        for mark in store.forgotten():
            hashed = {"salt": mark.salt.hex(), "digest": mark.digest.hex(), "at_ms": mark.at_ms}
            yield json.dumps({"forgotten": hashed})
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
    """Store what ``lines`` hold. Doing it again is harmless.

    Events that date from before their user was forgotten, here or as a line says, are left out,
    and deleted where they are here.

    Returns:
        How many items and events were stored.

    Raises:
        ValueError: a line is none that was exported; nothing was stored.
        DatabaseDown: they cannot be stored.
    """
    items, events = [], []
    states: dict[str, ItemState] = {}
    marks: list[Mark] = []
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            line = Line.model_validate_json(text)
            if line.count != 1:
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
        elif line.state is not None:
            said = line.state.model_dump(exclude={"parent_asin"})
            states[line.state.parent_asin] = ItemState(**said)
        elif line.forgotten is not None:
            marks.append(line.forgotten.mark())
    with made_store(settings) as store:
        store.put_forgotten(marks)
        allows = store.forgotten().allows
        store.put_items(items)
        store.put_states(states)
        given = [GivenEvent(e.user_id, e.as_past(0), e.recommendation_id) for e in events]
        kept = [one for one in given if allows(one.user_id, one.event.time_ms)]
        store.put_events(kept)
        if marks:
            store.scrub()
    return len(items), len(kept)
