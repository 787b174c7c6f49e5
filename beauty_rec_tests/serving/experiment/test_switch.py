"""A variant's set keeps what was given to the shop when another set takes its place."""

from collections.abc import Iterator
from typing import Any

import pytest

from beauty_rec.recommender.online.experiments.file import AnswerSettings
from beauty_rec.recommender.online.requests import NewItem, RecommendRequest
from beauty_rec.recommender.online.stock.new_items import make_rows
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.serving.published.kept import EXPERIMENT
from beauty_rec.serving.state import given as module
from beauty_rec.serving.state.engine import Engine
from beauty_rec.serving.state.experiment.beside import BesideSet
from beauty_rec.serving.state.given import GivenRows
from beauty_rec_tests.serving.experiment.two_sets import TwoSets

GIVEN = [NewItem(parent_asin=f"G{n}", title=f"A rose soap for travel, {n}") for n in range(3)]
NAMES = {item.parent_asin for item in GIVEN}


@pytest.fixture
def pinned(sets: TwoSets, shop: Engine) -> Iterator[Engine]:
    """An experiment of the served set as it is, and whichever is served."""
    sets.describe(
        'name = "pinned"\n'
        f'[variants.stays]\nshare = 0.5\nset = "{sets.new}"\n[variants.goes]\nshare = 0.5\n'
    )
    assert shop.look_at_experiment() is True
    yield shop
    (sets.root / EXPERIMENT).unlink(missing_ok=True)
    shop.look_at_experiment()


def found(engine: Engine) -> dict[str, tuple[str, set[str]]]:
    """The set that answers for each variant, and the given items that it finds."""
    asked = [
        RecommendRequest(user_id=f"u{n}", k=100, context="a rose soap for travel")
        for n in range(10)
    ]
    return {
        answer["variant"]: (
            answer["version"],
            {item["parent_asin"] for item in answer["items"]} & NAMES,
        )
        for answer in engine.recommend(asked)
    }


@pytest.mark.slow
def test_given_items_stay_in_a_variant_through_a_switch(
    sets: TwoSets, pinned: Engine, encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned.add_items(GIVEN)
    assert found(pinned) == {"stays": (sets.new, NAMES), "goes": (sets.new, NAMES)}
    made_for: list[str] = []

    def noted(shop: Any, *more: Any) -> Any:
        made_for.append(shop.manifest.set)
        return make_rows(shop, *more)

    monkeypatch.setattr(module, "make_rows", noted)
    for seed in (301, 401):  # the set is held, then it is one of those beside
        latest = sets.publish(encoder, seed)
        assert pinned.look() is True, pinned.refused
        assert found(pinned) == {"stays": (sets.new, NAMES), "goes": (latest, NAMES)}
        pinned.look_at_experiment()
        assert found(pinned) == {"stays": (sets.new, NAMES), "goes": (latest, NAMES)}
        assert made_for.pop() == latest
    assert made_for == []  # nothing was made for the variant's set again
    running = pinned.experiments.running
    assert running is not None
    anew = GivenRows(pinned.store, pinned.settings)  # as after a start
    assert anew.known(running.besides[sets.new].base, GIVEN).keys() == NAMES


def test_given_items_are_added_to_a_set_beside_as_they_come(
    pinned: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = {f"M{n}": NewItem(parent_asin=f"M{n}", title=f"A cedar balm, {n}") for n in range(40)}
    beside, there = BesideSet(pinned._plain), list[int]()

    def known() -> int:
        return len(many.keys() & beside.shop(pinned.given).space.row_of.keys())

    def noted(*given: Any) -> Any:
        there.append(known())
        return make_rows(*given)

    monkeypatch.setattr(module, "make_rows", noted)
    beside.take_in(many, pinned._rows)
    assert [*there, known()] == [0, 16, 32, 40]
    few = {name: item for name, item in many.items() if name != "M7"}
    few["M8"] = NewItem(parent_asin="M8", title="A walnut soap")
    beside.take_in(few, pinned._rows)
    shop = beside.shop(pinned.given)
    assert "M7" not in shop.space.row_of
    assert shop.catalogue.card(shop.space.row_of["M8"])["title"] == "A walnut soap"


def test_a_set_is_released_with_its_settings_at_once(
    shop: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before what was made for others is dropped, which takes as long as the database does."""
    before, plain = shop.released, shop._plain
    promoted = AnswerSettings(diversity=0.3, explore=0.1)
    then: list[tuple[object, bool, float]] = []

    def dropping(*_: object) -> None:
        then.append((shop.released, shop._explorer is not None, shop.serve.diversity))

    monkeypatch.setattr(GivenRows, "forget_others", dropping)
    shop.release(plain, promoted)
    shop.release(plain, before)
    served = shop.settings.serve.diversity
    assert then == [(promoted, True, 0.3), (before, False, served)]
