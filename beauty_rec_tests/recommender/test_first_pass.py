"""The quick products of a matrix: none of the best is lost, and they do tell items apart."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from beauty_rec.recommender.first_pass import FirstPass

N, W, STARTS = 3_000, 96, (0, 40, 48)
both = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


def drawn(seed: int, *, alike: bool) -> NDArray[np.float32]:
    """Rows with blocks of unequal length; ``alike``: float32 alone tells many of them apart."""
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(N, W))
    if alike:
        rows = rows[:1] + 1e-3 * rows
    rows[:, 40:48] *= 30
    return rows.astype(np.float32)


def first(values: NDArray[np.float64], k: int) -> set[int]:
    return set(np.argsort(-values, kind="stable")[:k].tolist())


@both
@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("k", [1, 10, 300, N + 1])
@pytest.mark.parametrize("some", [slice(0, W), slice(48, W), slice(40, 48), slice(5, 6)])
def test_what_is_among_the_best_is_a_contender(
    some: slice, k: int, alike: bool, dtype: torch.dtype
) -> None:
    matrix = drawn(3, alike=alike)
    first_pass = FirstPass.of(torch.from_numpy(matrix), STARTS, dtype=dtype)
    for seed in range(4):
        query = np.zeros(W, np.float32)
        query[some] = np.random.default_rng(seed).normal(size=W)[some]
        scores = first_pass.scores(torch.from_numpy(query[None]), N)[0]
        exact = matrix.astype(np.float64) @ query.astype(np.float64)
        near = 1.01 * first_pass._error(query) + torch.finfo(dtype).eps * np.abs(exact)
        assert (np.abs(scores.numpy() - exact) <= near).all()
        found = first_pass.contenders(scores, query, k)
        assert first(exact, k) <= set(found.tolist())
        assert (np.diff(found) > 0).all()


@both
def test_few_are_contenders_where_scores_differ(dtype: torch.dtype) -> None:
    matrix = drawn(4, alike=False)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    first_pass = FirstPass.of(torch.from_numpy(matrix), STARTS, dtype=dtype)
    scores = first_pass.scores(torch.from_numpy(matrix[:1]), N)[0]
    assert 100 <= len(first_pass.contenders(scores, matrix[0], 100)) < 300


@both
def test_hidden_rows_are_none(dtype: torch.dtype) -> None:
    matrix = drawn(5, alike=True)
    first_pass = FirstPass.of(torch.from_numpy(matrix), STARTS, dtype=dtype)
    scores = first_pass.scores(torch.from_numpy(matrix[:1]), N)[0]
    scores[5:] = -torch.inf
    assert first_pass.contenders(scores, matrix[0], 3).max() < 5
    assert first_pass.contenders(scores, matrix[0], 100).tolist() == [0, 1, 2, 3, 4]


@both
def test_rows_that_come_later_widen_the_bounds(dtype: torch.dtype) -> None:
    matrix = drawn(6, alike=True)
    half = torch.from_numpy(matrix[: N // 2] / 8)
    small = FirstPass.of(half, STARTS, 8, dtype).with_room(N)
    full = small.with_rows(N // 2, torch.from_numpy(matrix[N // 2 :]))
    assert (full.longest > small.longest).all()
    assert (full.lost > small.lost).all() == (dtype == torch.bfloat16)
    assert (full.lost <= torch.finfo(dtype).eps / 2 * full.longest).all()
    asked = torch.from_numpy(matrix[:2])
    whole = np.concatenate([matrix[: N // 2] / 8, matrix[N // 2 :]])
    exact = whole.astype(np.float64) @ matrix[0]
    found = full.contenders(full.scores(asked, N)[0], matrix[0], 20)
    assert first(exact, 20) <= set(found.tolist())
    assert full.scores(asked, N // 2).shape == (2, N // 2)
