"""What was given while serving, in a real PostgreSQL."""

from pathlib import Path

import psycopg
import pytest

from beauty_rec.recommender.online.people import Past
from beauty_rec.recommender.online.requests import NewItem
from beauty_rec.recommender.online.stock.states import ItemState
from beauty_rec.search.pgvector.server import postgres
from beauty_rec.serving.state.database import STORE, GivenEvent, Store
from beauty_rec.serving.state.tables import INDEX_CLUSTER

ITEM = NewItem(parent_asin="N1", title="A soap of before", price=3.5)
EVENT = Past("N1", 4.0, 1_700_000_000_000)


def given(folder: Path) -> tuple[list[NewItem], dict[str, list[Past]]]:
    store = Store(folder, None)
    store.open()
    try:
        return store.items(), store.events()
    finally:
        store.close()


@pytest.mark.slow
def test_what_the_cluster_of_the_index_held_is_taken_over_once(folder: Path) -> None:
    before = Store(folder / INDEX_CLUSTER, None)
    before.open()
    before.put_items([ITEM])
    before.put_events([GivenEvent("U", EVENT)])
    before.close()
    assert given(folder / STORE) == ([ITEM], {"U": [EVENT]})
    with postgres(folder / INDEX_CLUSTER) as dsn, psycopg.connect(dsn) as connection:
        connection.execute("DELETE FROM serving_items")
    assert given(folder / STORE) == ([ITEM], {"U": [EVENT]})


def test_what_is_said_of_an_item_leaves_the_rest_and_shown_stays_shown(store: Store) -> None:
    store.put_states({"N1": ItemState(hidden=True)})  # by another, who does not tell
    assert store.put_state("N1", {"price": 2.5}) == ItemState(hidden=True, price=2.5)
    assert store.put_state("N1", {"price": None}) == ItemState(hidden=True)
    assert store.put_state("N2", {"in_stock": False}) == ItemState(in_stock=False)
    assert store.states() == {"N1": ItemState(hidden=True), "N2": ItemState(in_stock=False)}
    for hidden, still in ((False, False), (True, None), (None, None)):
        said = ItemState(hidden, False, 1.5)
        store.put_states({ITEM.parent_asin: said})
        store.put_items([ITEM])
        assert store.states()[ITEM.parent_asin] == said.given_anew()
        assert said.given_anew() == ItemState(still, False)
