"""Users are split between sets and settings, and both live the same day."""

from collections.abc import Iterator
from typing import Any

import pytest

from beauty_rec.recommender.online.feeds.question import FeedQuestion
from beauty_rec.recommender.online.requests import NewEvent, NewItem, RecommendRequest
from beauty_rec.recommender.online.stock.filters import Filter
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.serving.published.kept import EXPERIMENT
from beauty_rec.serving.state.engine import Engine
from beauty_rec.serving.state.experiment import beside
from beauty_rec_tests.serving.experiment.two_sets import TwoSets, experiment

USERS = [f"shopper {number}" for number in range(40)]


@pytest.fixture
def running(sets: TwoSets, shop: Engine) -> Iterator[Engine]:
    sets.describe(experiment(sets))
    assert shop.look_at_experiment() is True
    yield shop
    (sets.root / EXPERIMENT).unlink(missing_ok=True)
    shop.look_at_experiment()


def answers(engine: Engine, users: list[str]) -> list[dict[str, Any]]:
    return engine.recommend([RecommendRequest(user_id=user, k=5) for user in users])


def test_a_user_stays_with_a_variant_and_its_set(sets: TwoSets, running: Engine) -> None:
    first = answers(running, USERS)
    set_of = {"old": sets.old, "new": sets.new}
    assert {answer["variant"] for answer in first} == {"old", "new"}
    for user, answer in zip(USERS, first, strict=True):
        assert answer["version"] == set_of[answer["variant"]]
        assert answer["experiment"] == "two-sets"
        [alone] = answers(running, [user])  # not by company
        assert alone == answer
        feed = running.feed(FeedQuestion("popular", 3, user_id=user))
        assert (feed["variant"], feed["version"]) == (answer["variant"], answer["version"])
    sets.describe(experiment(sets, "another"))
    assert running.look_at_experiment() is True
    again = answers(running, USERS)
    moved = sum(a["variant"] != b["variant"] for a, b in zip(first, again, strict=True))
    assert 8 < moved < 32


def test_who_is_nobody_is_outside(sets: TwoSets, running: Engine) -> None:
    asks = [RecommendRequest(k=3), RecommendRequest(user_id="ann", at=1_600_000_000_000, k=3)]
    for answer in running.recommend(asks):
        assert (answer["variant"], answer["experiment"]) == ("default", None)
        assert answer["version"] == sets.new


def test_both_sets_know_what_is_given(sets: TwoSets, running: Engine) -> None:
    given = answers(running, USERS)
    by_variant = {answer["variant"]: user for user, answer in zip(USERS, given, strict=True)}
    new = NewItem(parent_asin="GIVEN", title="A rose soap for travel")
    running.add_items([new])
    for user in by_variant.values():
        wanted = RecommendRequest(user_id=user, k=100, context="a rose soap for travel")
        [answer] = running.recommend([wanted])
        assert "GIVEN" in [item["parent_asin"] for item in answer["items"]]
        running.add_events([NewEvent(user_id=user, parent_asin="GIVEN")])
        [answer] = running.recommend([wanted])
        assert "GIVEN" not in [item["parent_asin"] for item in answer["items"]]
        best = answer["items"][0]["parent_asin"]
        running.set_state(best, hidden=True)
        [answer] = running.recommend([wanted])
        assert best not in [item["parent_asin"] for item in answer["items"]]


def test_what_was_given_is_looked_at_once(running: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    given = NewItem(parent_asin="ONCE", title="A rose soap for travel")
    running.add_items([given])
    looked: list[str] = []

    def noted(_: object, item: NewItem) -> bool:
        looked.append(item.parent_asin)
        return False

    monkeypatch.setattr(beside, "is_taken_in", noted)
    for _ in range(3):
        running.look_at_experiment()
    assert looked == []
    running.add_items([given])
    assert looked.count("ONCE") == 1


def test_what_only_the_served_set_knows_is_answered_from_it(sets: TwoSets, running: Engine) -> None:
    for user in USERS[:10]:
        running.add_items([NewItem(parent_asin="NEWER", title="A soap", store="Newer House")])
        old = running.experiments.running
        assert old is not None
        old.besides[sets.old].take_in({}, running._rows)  # a set that lags behind
        asked = RecommendRequest(user_id=user, k=3, filters=Filter(store=["Newer House"]))
        [answer] = running.recommend([asked])
        assert [item["parent_asin"] for item in answer["items"]] == ["NEWER"]
        assert answer["version"] == sets.new
        feed = running.feed(FeedQuestion("bought-together", 3, user_id=user, parent_asin="NEWER"))
        assert feed["version"] == sets.new


def test_settings_of_one_set_are_variants(sets: TwoSets, running: Engine) -> None:
    sets.describe(
        'name = "settings"\n[variants.plain]\nshare = 0.5\n'
        '[variants.bold]\nshare = 0.5\norder = "popular"\nsource_depth = 7\ndiversity = 0.9\n'
    )
    assert running.look_at_experiment() is True
    found = answers(running, USERS)
    assert {a["version"] for a in found} == {sets.new}
    assert {a["order"] for a in found if a["variant"] == "bold"} == {"popular"}
    assert {a["order"] for a in found if a["variant"] == "plain"} == {"fused"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('set = "{old}x"', "no published set"),
        ('order = "gbdt"', "the set has no order 'gbdt'"),
        ('ordr = "fused"', "the nearest known: order"),
        ("share = 0.3", "not TOML"),
    ],
)
def test_a_wrong_file_is_refused_and_the_one_before_goes_on(
    sets: TwoSets, running: Engine, wrong: str, said: str
) -> None:
    before = [answer["variant"] for answer in answers(running, USERS)]
    sets.describe(
        'name = "wrong"\n[variants.a]\nshare = 0.5\n[variants.b]\nshare = 0.5\n'
        + wrong.format(old=sets.old)
    )
    assert running.look_at_experiment() is False
    assert said in (running.experiments.refused or "")
    assert "variants.b" in (running.experiments.refused or "") or "TOML" in said
    assert [answer["variant"] for answer in answers(running, USERS)] == before


@pytest.mark.slow
def test_sets_of_an_experiment_outlive_publications(
    sets: TwoSets, running: Engine, encoder: TextEncoder
) -> None:
    for seed in (301, 401, 501):
        latest = sets.publish(encoder, seed)
        assert running.look() is True
        running.look_at_experiment()
        version = {a["variant"]: a["version"] for a in answers(running, USERS)}
        assert version == {"old": sets.old, "new": latest}
    assert running.experiments.refused is None
    kept = {path.name for path in (sets.root / "versions").iterdir()}
    assert sets.old in kept
    assert sets.new not in kept
