import itertools
import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.stats import permutation_test

from beauty_rec.measures.significance import compare, mcnemar, sign_flip_test


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (1, 0), (9, 2), (5, 5), (2, 14)])
def test_mcnemar_equals_the_binomial_sum(won, lost):
    ours = np.array([1] * won + [0] * lost + [1, 0, 1], dtype=float)
    theirs = np.array([0] * won + [1] * lost + [1, 0, 1], dtype=float)
    n = won + lost
    tail = sum(math.comb(n, i) for i in range(min(won, lost) + 1)) / 2**n
    assert mcnemar(ours, theirs) == pytest.approx(min(1.0, 2 * tail))


def test_sign_flips_agree_with_every_flip():
    random = np.random.default_rng(8)
    ours, theirs = random.random(11), random.random(11) * 0.8
    difference = ours - theirs
    sums = [abs(np.dot(signs, difference)) for signs in itertools.product([-1, 1], repeat=11)]
    exact = np.mean(np.array(sums) >= abs(difference.sum()) - 1e-12)
    assert sign_flip_test(ours, theirs, samples=40_000) == pytest.approx(exact, abs=0.01)


def test_sign_flips_with_equal_differences_agree_with_scipy():
    random = np.random.default_rng(9)
    ours = 1 / random.integers(1, 6, 200)
    theirs = 1 / random.integers(1, 7, 200)
    expected = permutation_test(
        (ours, theirs),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    ).pvalue
    assert sign_flip_test(ours, theirs, samples=20_000) == pytest.approx(expected, abs=0.015)


def test_equal_methods_do_not_differ():
    ranks = np.array([1.0, 5.0, 300.0])
    for found in compare(ranks, ranks).values():
        assert found["difference"] == 0
        assert found["p"] == 1
    assert compare(np.empty(0), np.empty(0)) == {}


def test_a_better_method_is_significant_and_p_is_never_zero():
    random = np.random.default_rng(3)
    worse = random.integers(1, 400, 600).astype(float)
    found: dict[str, dict[str, Any]] = compare(np.ceil(worse / 3), worse)
    assert found["recall@100"]["difference"] > 0
    assert found["recall@100"]["interval"][0] > 0
    assert found["recall@100"]["p"] < 1e-6
    assert 0 < found["mrr"]["p"] < 0.001
    with pytest.raises(ValueError, match="not pairs"):
        compare(worse, worse[:-1])


def test_sign_flips_of_clusters_are_those_of_all_signs() -> None:
    draw = np.random.default_rng(5)
    clusters = np.repeat(np.arange(10), draw.integers(1, 7, 10))
    ours = draw.random(len(clusters))
    theirs = ours - 0.1 * draw.normal(0.6, 1, 10)[clusters]
    sums = np.bincount(clusters, ours - theirs)
    signs = np.array(list(product((-1, 1), repeat=10)))
    wanted = np.mean(np.abs(signs @ sums) >= abs(sums.sum()) * (1 - 1e-9))
    found = sign_flip_test(ours, theirs, clusters=clusters, samples=20_000)
    assert found == pytest.approx(wanted, abs=0.01)
    # Queries of a user that all go one way say no more than the user does.
    assert found > sign_flip_test(ours, theirs, samples=20_000)
    alone = sign_flip_test(ours, theirs, clusters=np.arange(len(ours)), samples=500)
    assert alone == sign_flip_test(ours, theirs, samples=500)


def test_recall_of_users_queries_is_tested_by_user() -> None:
    ranks, base = np.full(12, 1.0), np.full(12, 500.0)
    one_user = np.zeros(12, np.int64)
    apart: dict[str, dict[str, Any]] = compare(ranks, base)
    together = compare(ranks, base, clusters=one_user, samples=50)
    assert apart["recall@10"]["p"] < 0.001
    assert together["recall@10"]["p"] == 1.0  # one user, one coin
    assert together["recall@10"]["difference"] == apart["recall@10"]["difference"] == 1.0
