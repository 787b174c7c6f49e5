"""Items that come over the API beside a set that sells some of them already."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from beauty_rec.corpus.intake.rows import said_of
from beauty_rec.ranking.features.item_events import NEVER
from beauty_rec.recommender.online.reasons import attributes_of
from beauty_rec.recommender.online.requests import NewItem
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.stock.new_items import add_rows, is_taken_in, make_rows
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.serving.published.manifest import read_manifest
from beauty_rec.serving.state.engine import load_set
from beauty_rec.settings import Settings
from beauty_rec_tests.recommender.synthetic_set import Size, publish_synthetic

NEROLI = ("B010000003", "B010000004", "B010000005")
SETTINGS = Settings()


def _neroli(attributes: pl.DataFrame) -> pl.DataFrame:
    new = pl.col("parent_asin").is_in(NEROLI)
    return attributes.with_columns(scent=pl.when(new).then(pl.lit(["neroli"])).otherwise("scent"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, encoder: TextEncoder) -> Snapshot:
    """A set whose models were trained before there was a scent of neroli, or an item of it."""
    folder = tmp_path_factory.mktemp("new-items")
    size = Size(items=40, events=300, seed=1)
    publish_synthetic(folder, size, encoder, encode=False, night=_neroli, late=NEROLI)
    root = folder / "serving"
    return load_set(root, read_manifest(root), SETTINGS.encoder)


def statistics(shop: Snapshot, name: str) -> np.ndarray:
    items = shop.path.tower.items
    row = shop.space.vectors(shop.space.rows([name]))[0]
    return row[items.tower : items.tower + items.statistics]


def given(base: Snapshot, *names: str) -> Snapshot:
    items = [NewItem(parent_asin=name, title="Another title", price=3.0) for name in names]
    return add_rows(base, make_rows(base, items, SETTINGS))


def test_what_is_sold_keeps_its_statistics_when_it_is_given_anew(base: Snapshot) -> None:
    events = base.path.table.events
    bestseller = base.path.table.ids[int(events.log_count[:-1].argmax())]
    unsold = base.path.table.ids[int((events.first_ms[:-1] == NEVER).argmax())]
    shop = given(base, bestseller, "STRANGER")
    np.testing.assert_array_equal(statistics(shop, bestseller), statistics(base, bestseller))
    np.testing.assert_array_equal(statistics(shop, "STRANGER"), statistics(base, unsold))
    assert (statistics(shop, bestseller) != statistics(shop, "STRANGER")).any()
    again = given(shop, bestseller)
    np.testing.assert_array_equal(statistics(again, bestseller), statistics(base, bestseller))


def test_where_everything_has_sold_a_stranger_is_one_that_never_did(base: Snapshot) -> None:
    table = base.path.table
    sold = replace(
        table, events=replace(table.events, first_ms=np.zeros_like(table.events.first_ms))
    )
    shop = given(replace(base, path=replace(base.path, table=sold)), "STRANGER")
    spec = base.path.tower.statistics
    np.testing.assert_array_equal(statistics(shop, "STRANGER"), spec.unsold())
    never = spec.unsold()[len(spec.half_lives_days)]
    assert never == statistics(base, base.space.ids[-1])[len(spec.half_lives_days)]


def test_a_set_has_taken_in_what_it_can_know_of_an_item(base: Snapshot) -> None:
    """Also a value that came after the models, and but for one that too few items have."""

    def taken_in(name: str, **said: str | list[str]) -> bool:
        item = NewItem(parent_asin=name, title="A balm", attributes=said)
        contents = pl.Series([item.content] * len(base.space))
        made_of_it = replace(base, catalogue=replace(base.catalogue, contents=contents))
        return is_taken_in(made_of_it, item)

    name, (own,) = NEROLI[0], attributes_of(base.path, NEROLI[0])["category"]
    other = "soap" if own != "soap" else "serum"
    assert attributes_of(base.path, name)["scent"] == ["neroli"]
    assert taken_in(name, scent=["Neroli"], category=own)
    assert taken_in(name, scent=["neroli", "a scent of this item alone"])
    assert not taken_in(name, scent=["neroli", "rose"])
    assert not taken_in(name, category=other)
    assert not taken_in("STRANGER", scent=["neroli"])


def test_an_item_that_came_since_is_known_to_the_learned_orders_without_its_sales(
    base: Snapshot,
) -> None:
    now, learned = base.path.table, base.path.builder.table
    old = now.ids[0]
    assert sorted(learned.ids) == sorted(now.ids)
    one, other = now.rows([*NEROLI, old]), learned.rows([*NEROLI, old])
    np.testing.assert_array_equal(learned.sparse[other], now.sparse[one])
    np.testing.assert_array_equal(learned.log_price[other], now.log_price[one])
    assert (now.events.log_count[one] > 0).all()
    assert (learned.events.log_count[other] > 0).tolist() == [False] * len(NEROLI) + [True]


def test_an_item_is_shown_as_the_next_night_will_read_it(base: Snapshot) -> None:
    """Of a file no name is blank, and none is longer than a name."""
    long = "soaps " * 100
    item = NewItem(parent_asin="X", title="A soap", store=long, categories=["Soap", " ", "", long])
    [row] = make_rows(base, [item], SETTINGS)
    taken = said_of(item.as_row())
    assert row.card["categories"] == taken["categories"]
    assert row.card["store"] == taken["store"]
    assert len(row.card["categories"]) == 2
