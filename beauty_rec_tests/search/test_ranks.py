from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from beauty_rec.search import ranks as ranks_module
from beauty_rec.search.ranks import exact_ranks, ranks_of_answers


def slow_rank(scores, answer, size, seen=()):
    """Mean position of the answer's ties, by sorting the whole answer set of one query."""
    everything: dict[Any, float] = {i: s for i, s in enumerate(scores) if i not in seen}
    everything |= {("unscored", i): -np.inf for i in range(size - len(scores))}
    own = -np.inf if answer < 0 else scores[answer]
    order = sorted(everything.values(), reverse=True)
    return np.mean([place for place, score in enumerate(order, start=1) if score == own])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_ranks_equal_a_full_sort(data):
    items = data.draw(st.integers(1, 8))
    queries = data.draw(st.integers(1, 4))
    extra = data.draw(st.integers(1, 3))
    values = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0])
    scores = np.array(
        [[data.draw(values) for _ in range(items)] for _ in range(queries)], dtype=np.float32
    )
    answers = np.array([data.draw(st.integers(-1, items - 1)) for _ in range(queries)])
    seen = np.array([[data.draw(st.booleans()) for _ in range(items)] for _ in range(queries)])
    seen[np.arange(queries), answers] &= answers < 0
    found = ranks_of_answers(
        scores, answers, answer_set_size=items + extra, seen=csr_array(seen.astype(np.float32))
    )
    expected = [
        slow_rank(row, answer, items + extra, set(np.flatnonzero(left_out)))
        for row, answer, left_out in zip(scores, answers, seen, strict=True)
    ]
    np.testing.assert_allclose(found, expected)


def test_equal_scores_share_their_mean_rank():
    scores = np.zeros((1, 9), dtype=np.float32)
    assert ranks_of_answers(scores, np.array([0])) == [5.0]


def test_unscored_answers_stand_last_and_tied():
    scores = np.array([[1.0, -np.inf, 0.0]] * 2, dtype=np.float32)
    # 2 scored; of 10 items 8 are unscored: ranks 3 to 10.
    np.testing.assert_allclose(
        ranks_of_answers(scores, np.array([-1, 1]), answer_set_size=10), [6.5, 6.5]
    )


@pytest.mark.parametrize(
    ("scores", "answers", "options"),
    [
        ([[np.nan, 1.0]], [1], {}),
        ([[0.0, 1.0]], [2], {}),
        ([[0.0, 1.0]], [-2], {}),
        ([[0.0, 1.0]], [0, 1], {}),
        ([[0.0, 1.0]], [0], {"answer_set_size": 1}),
        ([[0.0, 1.0]], [0], {"seen": csr_array(np.array([[1.0, 0.0]]))}),
        ([[0.0, 1.0]], [0], {"seen": csr_array(np.array([[0.0]]))}),
    ],
)
def test_nonsense_is_refused(scores, answers, options):
    with pytest.raises(ValueError, match=r".+"):
        ranks_of_answers(np.array(scores, dtype=np.float32), np.array(answers), **options)


@pytest.fixture
def vectors():
    random = np.random.default_rng(5)
    items = random.normal(size=(60, 16)).astype(np.float32)
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    items[40:] = items[:20]  # twins, far apart in memory
    queries = random.normal(size=(33, 16)).astype(np.float32)
    answers = random.integers(-1, 60, size=33)
    return queries, items, answers


def test_ranks_by_vectors_do_not_depend_on_the_chunks(vectors, monkeypatch):
    queries, items, answers = vectors
    whole = exact_ranks(queries, items, answers, 70)
    monkeypatch.setattr(ranks_module, "CHUNK_BYTES", 4 * 60 * 5)
    np.testing.assert_array_equal(exact_ranks(queries, items, answers, 70), whole)
    # In float64 twins score exactly alike, other pairs differ by far more than the tolerance.
    scores = queries.astype(np.float64) @ items.T.astype(np.float64)
    expected = [
        slow_rank(np.round(row, 9), answer, 70) for row, answer in zip(scores, answers, strict=True)
    ]
    np.testing.assert_allclose(whole, expected)


def test_no_query_and_no_item_are_no_error():
    none = np.empty((0, 4), dtype=np.float32)
    some = np.ones((2, 4), dtype=np.float32)
    assert exact_ranks(none, some, np.empty(0, dtype=np.int64)).shape == (0,)
    np.testing.assert_allclose(exact_ranks(some, none, np.array([-1, -1]), 3), [2.0, 2.0])
    with pytest.raises(ValueError, match="dimensions"):
        exact_ranks(some, np.ones((2, 3), dtype=np.float32), np.array([0, 0]))
