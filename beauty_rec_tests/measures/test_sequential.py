"""A test that is looked at every day: how often it errs, and what it finds.

Users come back, each clicks at a rate of their own, and what is shown differs from user to user.
"""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from beauty_rec.measures.intervals import wilson_interval
from beauty_rec.measures.sequential import RatioSums, compare_rates

RATE, SPREAD = 0.1, 12.0
"""Mean and concentration of the users' own rates."""


def days(
    random: np.random.Generator, rate: float, users: int, looks: int
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Clicks and shown items by user, summed to each look; users come when they like."""
    own = random.beta(RATE * SPREAD, (1 - RATE) * SPREAD, users) * rate / RATE
    begin = random.integers(looks, size=users)
    shown, clicks, found = np.zeros(users), np.zeros(users), []
    for look in range(looks):
        here = (begin <= look) & (random.random(users) < 0.4)
        some = 10 * here * random.integers(1, 3, users)
        shown += some
        clicks += random.binomial(some, np.minimum(own, 1))
        found.append((clicks.copy(), shown.copy()))
    return found


def sums(clicks: NDArray[np.float64], shown: NDArray[np.float64]) -> RatioSums:
    came = shown > 0
    y, x = clicks[came], shown[came]
    return RatioSums(int(came.sum()), y.sum(), x.sum(), (y * y).sum(), (x * x).sum(), (x * y).sum())


def looked_at(seed: int, lift: float, users: int = 250, looks: int = 20) -> tuple[bool, bool, int]:
    """Whether the test, and one for a fixed horizon, ever find a difference; and when it did."""
    random = np.random.default_rng(seed)
    control, variant = (days(random, RATE * (1 + by), users, looks) for by in (0.0, lift))
    found, naive, first = False, False, looks
    for look, (a, b) in enumerate(zip(variant, control, strict=True)):
        ours, theirs = sums(*a), sums(*b)
        if min(ours.users, theirs.users) < 30:
            continue
        result = compare_rates(ours, theirs, expected_lift=0.2)
        z = result.difference / np.sqrt(ours.variance + theirs.variance)
        naive |= bool(abs(z) > norm.ppf(0.975))
        if result.p < 0.05 and not found:
            found, first = True, look
        assert (result.p < 0.05) == (not result.interval[0] <= 0 <= result.interval[1])
    return found, naive, first


def test_two_equal_variants_are_found_different_one_time_in_twenty_at_most() -> None:
    runs = [looked_at(seed, 0.0) for seed in range(300)]
    ever, naive = (np.mean([run[k] for run in runs]) for k in (0, 1))
    assert ever <= 0.05
    assert naive > 0.12  # what looking every day costs a test that allows one look


def test_a_better_variant_is_found() -> None:
    runs = [looked_at(seed, 0.3, users=700) for seed in range(50)]
    assert np.mean([run[0] for run in runs]) > 0.8
    assert np.mean([run[2] for run in runs]) < 15  # and mostly before the end


def test_the_interval_covers_the_difference_at_all_looks_at_once() -> None:
    missed = 0
    for seed in range(120):
        random = np.random.default_rng(seed)
        control, variant = (days(random, RATE * (1 + by), 200, 20) for by in (0.0, 0.3))
        missed += any(
            not low <= 0.3 * RATE <= high
            for a, b in zip(variant[5:], control[5:], strict=True)
            for low, high in [compare_rates(sums(*a), sums(*b), expected_lift=0.2).interval]
        )
    assert missed / 120 <= 0.05


def test_several_comparisons_share_the_level() -> None:
    a, b = RatioSums(500, 620, 5000, 1200, 5e4, 6500), RatioSums(500, 500, 5000, 900, 5e4, 5200)
    alone = compare_rates(a, b, expected_lift=0.2)
    three = compare_rates(a, b, expected_lift=0.2, comparisons=3)
    assert three.p == pytest.approx(3 * alone.p)
    assert three.interval[0] < alone.interval[0] < alone.difference < three.interval[1]


@pytest.mark.parametrize("users", [0, 1, 5])
def test_little_data_decides_nothing(users: int) -> None:
    few = RatioSums(users, users, 10 * users, users, 100 * users, 10 * users)
    found = compare_rates(few, few, expected_lift=0.2, least_users=30)
    assert (found.p, found.decides) == (1.0, False)


@pytest.mark.parametrize(
    ("clicks", "decides"),
    [((9, 30), False), ((0, 39), False), ((10, 10), True), ((0, 40), True), ((9, 31), True)],
)
def test_ten_clicks_on_each_side_or_twenty_expected_decide(
    clicks: tuple[int, int], decides: bool
) -> None:
    shown = np.full(500, 10.0)
    few, many = (sums((np.arange(500) < count).astype(float), shown) for count in clicks)
    found = compare_rates(few, many, expected_lift=0.2)
    assert found.decides is decides
    if clicks == (0, 40):
        assert 1e-4 < found.p < 0.01  # of two equal sides one has all 40 with a chance of 2e-12
    if not decides:
        assert found.p == 1


@pytest.mark.parametrize(("clicks", "decides"), [(40, False), (1999, False), (2000, True)])
def test_of_a_small_share_the_clicks_that_it_would_have_count(clicks: int, decides: bool) -> None:
    small = RatioSums(1_000, 0, 1_000, 0, 1_000, 0)
    large = RatioSums(99_000, clicks, 99_000, clicks, 99_000, clicks)
    assert compare_rates(small, large, expected_lift=0.2).decides is decides


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
@pytest.mark.parametrize("rate", [0.001, 0.01])
def test_a_small_share_with_rare_clicks_keeps_the_level(share: float, rate: float) -> None:
    random, looks, found = np.random.default_rng(7), 30, []
    for _ in range(200):
        comers = [round(400_000 * part / looks) for part in (share, 1 - share)]
        came = [np.arange(1, looks + 1) * each for each in comers]
        clicks = [random.binomial(each, rate, looks).cumsum() for each in comers]
        of_looks = zip(*clicks, *came, strict=True)
        found.append(
            any(
                compare_rates(
                    RatioSums(a, y, a, y, a, y),
                    RatioSums(b, z, b, z, b, z),
                    expected_lift=0.2,
                    least_users=100,
                ).p
                < 0.05
                for y, z, a, b in np.array(list(of_looks)).tolist()
            )
        )
    assert np.mean(found) <= 0.05


def test_the_variance_counts_users_and_not_items() -> None:
    random = np.random.default_rng(5)
    rates = [sums(*days(random, RATE, 300, 10)[-1]) for _ in range(300)]
    real = np.std([each.rate for each in rates])
    assert np.sqrt(np.mean([each.variance for each in rates])) == pytest.approx(real, rel=0.1)
    low, high = np.transpose([each.interval() for each in rates])
    assert np.mean((low <= RATE) & (high >= RATE)) == pytest.approx(0.95, abs=0.03)


def test_a_rate_at_an_end_of_the_scale_has_the_width_of_its_users() -> None:
    none, all_of_them = RatioSums(50, 0, 500, 0, 5e3, 0), RatioSums(50, 500, 500, 5e3, 5e3, 5e3)
    assert none.interval() == wilson_interval(0, 50)
    assert all_of_them.interval() == wilson_interval(50, 50)
    assert RatioSums(1, 0, 10, 0, 100, 0).interval() == (0.0, 1.0)  # one user tells no spread
