"""Exact search against a slow sort."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beauty_rec.artifacts import Vectors
from beauty_rec.search.exact import ExactIndex, distinct_rows
from beauty_rec.search.protocol import recall_against_exact


@settings(max_examples=30, deadline=None)
@given(items=st.integers(0, 30), k=st.integers(1, 40), seed=st.integers(0, 1000))
def test_search_equals_a_full_sort(items: int, k: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    matrix = random.integers(-2, 3, (items, 3)).astype(np.float32)  # many ties
    queries = random.integers(-2, 3, (5, 3)).astype(np.float32)
    found = ExactIndex(Vectors([str(i) for i in range(items)], matrix)).search(queries, k)
    for row, query in enumerate(queries):
        scores = matrix @ query
        np.testing.assert_array_equal(found.scores[row], np.sort(scores)[::-1][:k])
        ids = [int(name) for name in found.ids[row]]
        assert len(set(ids)) == len(ids) == min(k, items)
        np.testing.assert_array_equal(scores[ids], found.scores[row])
        assert ids == sorted(range(items), key=lambda i: (-scores[i], i))[:k]  # ties by their order


@pytest.mark.parametrize("k", [1, 7, 40])
def test_blocks_of_items_give_what_all_at_once_gives(
    monkeypatch: pytest.MonkeyPatch, k: int
) -> None:
    random = np.random.default_rng(2)
    matrix = random.integers(-2, 3, (50, 3)).astype(np.float32)
    matrix[11] = np.nan  # is never found
    index = ExactIndex(Vectors([str(i) for i in range(50)], matrix))
    queries = random.integers(-2, 3, (9, 3)).astype(np.float32)
    whole = index.search(queries, k)
    monkeypatch.setattr("beauty_rec.search.exact.ITEMS_AT_ONCE", 8)
    parts = index.search(queries, k)
    assert parts.ids == whole.ids
    np.testing.assert_array_equal(parts.scores, whole.scores)


@pytest.mark.parametrize("collide", [False, True])
def test_equal_rows_are_of_one_kind(monkeypatch: pytest.MonkeyPatch, collide: bool) -> None:
    """Also where two rows that differ have one hash."""
    if collide:
        monkeypatch.setattr("beauty_rec.search.exact.FACTORS", 0)
    random = np.random.default_rng(4)
    matrix = random.normal(size=(30, 5)).astype(np.float32)[random.integers(0, 30, 200)]
    first, place = distinct_rows(matrix)
    np.testing.assert_array_equal(matrix[first][place], matrix)
    assert len(first) == len(np.unique(matrix, axis=0))


def test_recall_counts_ties_as_found() -> None:
    same = Vectors(["a", "b", "c"], np.ones((3, 2), dtype=np.float32))
    other = Vectors(["c", "b", "a"], same.matrix)
    queries = np.ones((1, 2), dtype=np.float32)
    assert recall_against_exact(ExactIndex(other), ExactIndex(same), queries, k=2) == 1.0
    worse = Vectors(["a", "b", "c"], np.diag([1.0, 1.0, 0.0])[:, :2].astype(np.float32))
    assert recall_against_exact(ExactIndex(worse), ExactIndex(same), queries, k=2) == 0.0
