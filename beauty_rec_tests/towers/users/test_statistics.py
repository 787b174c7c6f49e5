import datetime
import math

import numpy as np
import polars as pl
import pytest

from beauty_rec.events.arrays import DAY_MS, read_events
from beauty_rec.settings import UserTowerSettings
from beauty_rec.towers.users.statistics import StatisticsSpec, month_of
from beauty_rec.towers.users.train.data import UserTowerData


@pytest.fixture
def people(data: UserTowerData) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(len(data.events.users), 4)).astype(np.float32)


@pytest.fixture
def spec(data: UserTowerData, people: np.ndarray, small: UserTowerSettings) -> StatisticsSpec:
    as_of = int(data.events.time_ms[data.train].max()) + 1
    return StatisticsSpec.fit(data.events, data.train, people, 2, as_of, small)


def test_columns_by_loops(data: UserTowerData, people: np.ndarray, spec: StatisticsSpec) -> None:
    events, as_of = data.events, int(data.events.time_ms[data.train[400]])
    rows = [r for r in data.train if events.time_ms[r] < as_of]
    raw = np.concatenate(list(spec.blocks(events, data.train, people, as_of)), axis=1)
    place = spec.contexts.index("wedding")
    q = (sum(_weight(events, r, as_of, 60) for r in rows if _said(events, r, "wedding")) + 1) / (
        sum(_weight(events, r, as_of, 60) for r in rows if events.context[r] >= 0) + 2
    )
    for item in (0, 5, 40, 59):
        mine = [r for r in rows if events.item[r] == item]
        decayed = sum(_weight(events, r, as_of, 20) for r in mine)
        assert raw[item, 0] == pytest.approx(math.log(decayed + 0.3))
        assert raw[item, 4] == (not mine)
        ages = [(as_of - events.time_ms[r]) / DAY_MS for r in mine]
        assert raw[item, 5] == pytest.approx(math.log1p(max(ages)) if mine else 0)
        assert raw[item, 6] == pytest.approx(math.log1p(min(ages)) if mine else 0)
        inside = sum(_weight(events, r, as_of, 60) for r in mine if _said(events, r, "wedding"))
        total = sum(_weight(events, r, as_of, 60) for r in mine if events.context[r] >= 0)
        lift = math.log((inside + 3 * q) / (total + 3) / q)
        assert raw[item, 7 + place] == pytest.approx(lift)
        buyers = 7 + 2 * 2 + 12
        mean = np.mean([people[events.user[r], 0] for r in rows], dtype=np.float64)
        own = sum(float(people[events.user[r], 0]) for r in mine)
        assert raw[item, buyers] == pytest.approx((own + 3 * mean) / (len(mine) + 3), abs=1e-6)


def _weight(events, row, as_of, half_life) -> float:
    return 0.5 ** ((as_of - events.time_ms[row]) / DAY_MS / half_life)


def _said(events, row, text) -> bool:
    return events.context[row] >= 0 and events.contexts[events.context[row]] == text


def test_nothing_after_the_moment_counts(
    data: UserTowerData, people: np.ndarray, spec: StatisticsSpec
) -> None:
    events, as_of = data.events, int(data.events.time_ms[data.train[400]])
    before = data.train[events.time_ms[data.train] < as_of]
    all_rows = spec.at(events, data.train, people, as_of)
    assert all_rows.tobytes() == spec.at(events, before, people, as_of).tobytes()


def test_scaled_by_train(data: UserTowerData, people: np.ndarray, spec: StatisticsSpec) -> None:
    as_of = int(data.events.time_ms[data.train].max()) + 1
    columns = spec.at(data.events, data.train, people, as_of)
    assert columns.dtype == np.float32
    assert np.isfinite(columns).all()
    assert abs(columns).max() < 8
    assert columns.shape == (60, len(spec.mean))


def test_the_best_of_many_items_that_hardly_sell_keep_their_order(small: UserTowerSettings) -> None:
    """The deviation of a column is tiny there: hundreds of them lie beyond six of it."""
    items, best = 100_000, 200
    rng = np.random.default_rng(5)
    sold = np.minimum(rng.zipf(1.7, 5_000), 500)
    item = np.repeat(rng.permutation(items)[: len(sold)], sold)
    names = pl.Series([f"i{row}" for row in range(items)])
    events = read_events(
        pl.DataFrame(
            {
                "review_id": [f"r{row}" for row in range(len(item))],
                "user_id": [f"u{row % 99}" for row in range(len(item))],
                "parent_asin": names[item],
                "timestamp": 10**12 - rng.integers(0, 700 * DAY_MS, len(item)),
                "rating": 5.0,
                "context": pl.Series(np.where(rng.random(len(item)) < 0.5, "work", "gym")),
            }
        ),
        names.to_list(),
    )
    rows, nobody = np.arange(len(item)), np.zeros((99, 0), np.float32)
    few = small.model_copy(update={"half_lives_days": (20, 180)})
    spec = StatisticsSpec.fit(events, rows, nobody, 0, 10**12, few)
    raw = np.concatenate(list(spec.blocks(events, rows, nobody, 10**12)), axis=1)
    found = spec.at(events, rows, nobody, 10**12)
    beyond = np.abs(raw - spec.mean) > 6 * np.array(spec.deviation)
    assert beyond[:, 0].sum() > best, "what sells at all"
    for column in range(2):  # the rest are shares of few events: cut
        order = np.argsort(-raw[:, column], kind="stable")[:best]
        steps = np.diff(found[order, column].astype(np.float64))
        apart = np.diff(raw[order, column]) < -1e-4
        assert (steps <= 0).all()
        assert (steps[apart] < 0).all()
    scaled = (raw - spec.mean) / np.array(spec.deviation)
    assert found[~beyond].tobytes() == scaled[~beyond].astype(np.float32).tobytes()
    assert np.abs(found).max() < 12
    assert np.abs(found[:, 2:]).max() <= 6


def test_no_event_at_all_is_finite(
    data: UserTowerData, people: np.ndarray, spec: StatisticsSpec
) -> None:
    assert np.isfinite(spec.at(data.events, data.train, people, 0)).all()


def test_an_item_without_events_needs_none_to_be_told(
    data: UserTowerData, people: np.ndarray, spec: StatisticsSpec
) -> None:
    """But for the means, which are shrunk to those of the events of the moment."""
    events, as_of = data.events, int(data.events.time_ms[data.train[60]])
    never = np.setdiff1d(np.arange(60), events.item[data.train[:60]])
    assert len(never) > 0
    buyers = 7 + 2 * 2 + 12
    means = [*range(buyers, buyers + 6), len(spec.mean) - 1]
    others = np.setdiff1d(np.arange(len(spec.mean)), means)
    told = spec.unsold()
    for row in spec.at(events, data.train, people, as_of)[never]:
        np.testing.assert_allclose(told[others], row[others], atol=1e-5)
    assert (told[means] == 0).all(), "the average item's"


def test_no_context_no_tag_no_profile(data: UserTowerData, small: UserTowerSettings) -> None:
    nobody = np.zeros((len(data.events.users), 0), np.float32)
    bare = small.model_copy(update={"max_contexts": 0})
    spec = StatisticsSpec.fit(data.events, data.train, nobody, 0, 2 * 10**12, bare)
    assert spec.contexts == []
    assert np.isfinite(spec.at(data.events, data.train, nobody, 2 * 10**12)).all()


def test_months_are_those_of_the_calendar_but_for_a_day() -> None:
    for month in range(1, 13):
        moment = datetime.datetime(2017, month, 15, tzinfo=datetime.UTC).timestamp() * 1000
        assert month_of(np.array([int(moment)]))[0] == month - 1


def test_json_round_trip(spec: StatisticsSpec) -> None:
    assert StatisticsSpec.from_json(spec.to_json()) == spec
