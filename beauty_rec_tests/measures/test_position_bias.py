"""Position bias against a simulation in which it is planted."""

import numpy as np
import pytest
from numpy.typing import NDArray

from beauty_rec.measures.position_bias import inverse_propensity, position_propensities

COUNT = 11
THETA = 1 / np.arange(1, COUNT + 1) ** 0.7


class World:
    """A ranker that puts what is attractive high, and people who look less the lower it stands."""

    def __init__(self, seed: int, *, shown: int = 60_000, noise: float = 0.15) -> None:
        draw = np.random.default_rng(seed)
        self.gamma = draw.beta(1, 6, 1_500)
        self.units: NDArray[np.int64] = draw.integers(len(self.gamma), size=shown)
        score = self.gamma[self.units] + draw.normal(0, noise, shown)
        place = COUNT * (1 - score.argsort().argsort() / shown)
        self.positions: NDArray[np.int64] = np.clip(place.astype(np.int64), 0, COUNT - 1)
        chance = THETA[self.positions] * self.gamma[self.units]
        self.clicks: NDArray[np.bool_] = draw.random(shown) < chance
        self.users: NDArray[np.int64] = draw.integers(5_000, size=shown)

    @property
    def propensities(self) -> NDArray[np.float64]:
        return position_propensities(self.units, self.positions, self.clicks, COUNT)


def test_planted_propensities_are_found_where_rates_mislead() -> None:
    world = World(seed=3)
    np.testing.assert_allclose(world.propensities, THETA, atol=0.06)
    rates = np.array([world.clicks[world.positions == k].mean() for k in range(COUNT)])
    assert np.abs(rates / rates[0] - THETA).max() > 0.15


def test_weighed_clicks_tell_how_attractive_things_are() -> None:
    inside = 0
    for seed in range(10):
        world = World(seed=seed, shown=30_000)
        truth = world.gamma[world.units].mean()
        found = inverse_propensity(
            world.clicks, THETA[world.positions], world.users, samples=200, seed=seed
        )
        assert found is not None
        assert world.clicks.mean() < 0.7 * truth
        assert found.value == pytest.approx(truth, rel=0.08)
        assert found.effective < len(world.clicks)
        inside += found.interval[0] <= truth <= found.interval[1]
    assert inside >= 8  # of ten intervals of 95%


def test_two_lists_are_told_apart_by_what_they_hold_not_by_where_it_stands() -> None:
    """The better list stands lower: its plain rate is worse, its estimate is better."""
    draw = np.random.default_rng(5)
    positions = np.repeat([0, 5], 20_000)
    gamma = np.repeat([0.10, 0.15], 20_000)
    clicks = draw.random(40_000) < THETA[positions] * gamma
    high, low = clicks[:20_000], clicks[20_000:]
    assert low.mean() < high.mean()
    users = np.arange(20_000)
    above = inverse_propensity(high, THETA[positions[:20_000]], users, samples=200)
    below = inverse_propensity(low, THETA[positions[20_000:]], users, samples=200)
    assert above is not None
    assert below is not None
    assert above.interval[1] < below.interval[0]


def test_users_are_drawn_whole() -> None:
    """Ten equal rows of a user are one row's worth of evidence."""
    draw = np.random.default_rng(6)
    clicks = np.repeat(draw.random(300) < 0.3, 10)
    ones = np.ones(3_000)
    apart = inverse_propensity(clicks, ones, np.arange(3_000))
    whole = inverse_propensity(clicks, ones, np.repeat(np.arange(300), 10))
    assert apart is not None
    assert whole is not None
    assert np.diff(whole.interval) > 2.5 * np.diff(apart.interval)


def test_positions_that_nothing_links_are_not_made_up() -> None:
    # Units 0 and 1 stood at 1 and 2; unit 2 at 4 and 5 only; unit 3 always at 3.
    units = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    positions = np.array([0, 1, 0, 1, 3, 4, 2, 2])
    clicks = np.array([1, 0, 0, 1, 1, 1, 1, 0], dtype=bool)
    found = position_propensities(units, positions, clicks, 5)
    np.testing.assert_allclose(found[:2], [1, 1])
    assert np.isnan(found[2:]).all()
    nothing = position_propensities(units, positions, np.zeros(8, bool), 5)
    assert np.isnan(nothing).all()
    estimate = inverse_propensity(clicks, found[positions], units, samples=200)
    assert estimate is not None
    assert estimate.covered == 0.5
    assert inverse_propensity(clicks, nothing[positions], units) is None


def test_a_weight_is_cut_and_said() -> None:
    clicks, propensities = np.array([True, True]), np.array([1.0, 0.01])
    found = inverse_propensity(clicks, propensities, np.array([0, 1]), most_weight=4)
    assert found is not None
    assert found.value == pytest.approx(2.5)
    assert found.clipped == 0.5
    assert found.effective == pytest.approx(25 / 17)
