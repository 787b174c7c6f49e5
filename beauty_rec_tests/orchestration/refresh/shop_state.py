"""What a shop holds: all that was built, and what was given to it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from beauty_rec.artifacts import content_hash
from beauty_rec.recommender.online.people import Past
from beauty_rec.recommender.online.requests import NewItem
from beauty_rec.serving.state.database import STORE, GivenEvent, Store

ITEM = NewItem(parent_asin="KEPT1", title="A soap that outlives repairs")
EVENT = Past("KEPT1", 4.0, 1_700_000_000_000)


def artifacts(data: Path) -> dict[str, str]:
    """The content of all that is built; of the report without what each step cost."""
    found = {
        str(path.relative_to(data)): content_hash(path)
        for folder in ("processed", "models")
        for path in (data / folder).iterdir()
        if not path.name.startswith(".")
    }
    report = json.loads((data / "evaluation" / "report.json").read_text())
    del report["cost"]
    return {**found, "report": json.dumps(report, sort_keys=True)}


def with_store(data: Path, do: Callable[[Store], Any]) -> Any:
    store = Store(data / STORE, None)
    store.open()
    try:
        return do(store)
    finally:
        store.close()


def give(data: Path) -> None:
    """Give the shop an item and an event."""
    with_store(data, lambda store: store.put_items([ITEM]))
    with_store(data, lambda store: store.put_events([GivenEvent("U", EVENT)]))


def given_is_there(data: Path) -> Any:
    return with_store(data, lambda s: s.items() == [ITEM] and s.events() == {"U": [EVENT]})
