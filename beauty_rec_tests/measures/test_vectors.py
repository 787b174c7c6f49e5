"""Figures of vector spaces against slow loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beauty_rec.measures.vectors import mean_cosine


@given(st.integers(2, 40), st.integers(0, 1000))
def test_the_mean_cosine_is_that_of_all_pairs(rows: int, seed: int) -> None:
    matrix = np.random.default_rng(seed).normal(size=(rows, 5))
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    pairs = [matrix[a] @ matrix[b] for a in range(rows) for b in range(rows) if a != b]
    assert mean_cosine(matrix) == pytest.approx(np.mean(pairs), abs=1e-9)


def test_one_vector_or_none_has_not_collapsed() -> None:
    assert mean_cosine(np.ones((1, 3), np.float32)) == mean_cosine(np.ones((0, 3))) == 0


def test_a_collapse_of_many_float32_rows_shows() -> None:
    row = np.random.default_rng(0).normal(size=64).astype(np.float32)
    assert mean_cosine(np.tile(row / np.linalg.norm(row), (20_000, 1))) == pytest.approx(
        1, abs=1e-6
    )
