import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap

from beauty_rec.measures.intervals import (
    Interval,
    bootstrap_intervals,
    ends_of,
    wilson_interval,
)


def bootstrap_interval(values: np.ndarray, **options: Any) -> Interval:
    return bootstrap_intervals(values[:, None], **options)[0]


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (3, 10), (10, 10), (163, 1000)])
def test_wilson_agrees_with_scipy(hits, trials):
    expected = binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    found = wilson_interval(hits, trials)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_bootstrap_agrees_with_scipy_up_to_its_noise():
    random = np.random.default_rng(1)
    values = np.where(random.random(400) < 0.3, 1 / random.integers(1, 101, 400), 0.0)
    expected = bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(2)
    ).confidence_interval
    found = bootstrap_interval(values, samples=20_000)
    width = expected.high - expected.low
    assert found == pytest.approx((expected.low, expected.high), abs=0.03 * width)


def test_bootstrap_is_seeded_and_blind_to_order():
    values = np.random.default_rng(1).random(200)
    first = bootstrap_interval(values, seed=4)
    assert bootstrap_interval(values[::-1].copy(), seed=4) == first
    assert bootstrap_interval(values, seed=5) != first
    assert first[0] < values.mean() < first[1]


def test_intervals_without_data_or_variation():
    assert all(math.isnan(end) for end in wilson_interval(0, 0))
    assert all(math.isnan(end) for end in bootstrap_interval(np.empty(0)))
    assert bootstrap_interval(np.zeros(5), signed=True) == (0.0, 0.0)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_mean_at_an_end_of_the_scale_has_the_width_of_its_clusters(value: float) -> None:
    clusters = np.arange(60) // 2
    low, high = bootstrap_interval(np.full(60, value), clusters=clusters)
    assert (low, high) == wilson_interval(30 * value, 30)
    assert high - low == pytest.approx(0.114, abs=0.001)  # about 3 of 30
    mixed = np.column_stack([np.full(60, value), clusters < 15])
    both = bootstrap_intervals(mixed.astype(np.float64), clusters=clusters)
    assert both == [(low, high), bootstrap_interval(mixed[:, 1].copy(), clusters=clusters)]


def test_one_cluster_tells_no_spread() -> None:
    values, of_one = np.random.default_rng(1).random((5, 2)), np.zeros(5, np.int64)
    for alone, clusters in ((values, of_one), (values[:1], None)):
        intervals = bootstrap_intervals(alone, clusters=clusters)
        assert [ends_of(interval) for interval in intervals] == [None, None]
    low, high = bootstrap_intervals(values, clusters=np.arange(5) // 3)[0]
    assert ends_of((low, high)) == [low, high]
    assert low < high


def drawn_clusters(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of users who have between one and eight queries each, alike within a user."""
    draw = np.random.default_rng(seed)
    sizes = draw.integers(1, 9, 40)
    clusters = np.repeat(np.arange(40), sizes)
    values = np.repeat(draw.random(40), sizes) + 0.1 * draw.random(len(clusters))
    order = draw.permutation(len(values))
    return values[order], clusters[order].astype(np.int64)


def test_the_bootstrap_of_clusters_is_that_of_a_loop() -> None:
    values, clusters = drawn_clusters(1)
    of_user = [values[clusters == user] for user in np.unique(clusters)]
    draw = np.random.default_rng(2)
    means = []
    for _ in range(4_000):
        chosen = [of_user[user] for user in draw.integers(len(of_user), size=len(of_user))]
        means.append(np.concatenate(chosen).mean())
    wanted = np.quantile(means, [0.025, 0.975])
    found = bootstrap_interval(values, clusters=clusters, samples=4_000)
    np.testing.assert_allclose(found, wanted, atol=0.012)
    alone = bootstrap_interval(values, samples=4_000)
    assert found[1] - found[0] > 1.5 * (alone[1] - alone[0])


def test_clusters_of_one_query_are_no_clusters() -> None:
    values, _ = drawn_clusters(3)
    own = bootstrap_interval(values, clusters=np.arange(len(values)))
    assert own == bootstrap_interval(values)
    assert own == bootstrap_interval(values[::-1].copy(), clusters=np.arange(len(values)))
    assert bootstrap_interval(np.full(6, 0.5), clusters=np.array([0, 0, 1, 1, 2, 2])) == (0.5, 0.5)


def test_metrics_are_resampled_together() -> None:
    values, clusters = drawn_clusters(5)
    both = np.column_stack([values, values**2, np.zeros(len(values))])
    found = bootstrap_intervals(both, clusters=clusters, samples=4_000)
    for column, interval in zip(both.T, found, strict=True):
        alone = bootstrap_interval(column.copy(), clusters=clusters, samples=4_000)
        np.testing.assert_allclose(interval, alone, atol=0.01)
    assert found[2] == wilson_interval(0, 40)
