"""The quick products of a matrix: none of the best is lost, and they do tell items apart."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from beauty_rec.recommender.first_pass import FirstPass

N, W, STARTS = 3_000, 96, (0, 40, 48)
NONE = torch.zeros((0, W))


def drawn(seed: int, *, alike: bool) -> NDArray[np.float32]:
    """Rows with blocks of unequal length; ``alike``: float32 alone tells many of them apart."""
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(N, W))
    if alike:
        rows = rows[:1] + 1e-3 * rows
    rows[:, 40:48] *= 30
    rows[:, 44], rows[:, 45] = 0, 1e-9 * rows[:, 45]
    return rows.astype(np.float32)


def error(first_pass: FirstPass, query: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the score of each row may be off for a query, as contenders are chosen by it."""
    lengths, rest = first_pass._allowance(query)
    return first_pass.lost @ lengths + rest


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("some", [slice(0, W), slice(48, W), slice(40, 48), slice(5, 6)])
def test_what_reaches_a_score_is_a_contender(some: slice, alike: bool, quantized: bool) -> None:
    matrix = drawn(3, alike=alike)
    first_pass = FirstPass.of(torch.from_numpy(matrix), STARTS, quantized=quantized)
    for seed in range(4):
        query = np.zeros(W, np.float32)
        query[some] = np.random.default_rng(seed).normal(size=W)[some]
        scores = first_pass.scores(torch.from_numpy(query[None]), NONE)[0]
        exact = matrix.astype(np.float64) @ query.astype(np.float64)
        assert (np.abs(scores.numpy() - exact) <= error(first_pass, query)).all()
        for least in np.sort(exact.astype(np.float32))[[0, -300, -10, -1]]:
            found = first_pass.contenders(scores, query, float(least))
            assert set(np.flatnonzero(exact >= least)) <= set(found.tolist())
            assert (np.diff(found) > 0).all()


def test_few_are_contenders_where_scores_differ(quantized: bool) -> None:
    matrix = drawn(4, alike=False)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    first_pass = FirstPass.of(torch.from_numpy(matrix), STARTS, quantized=quantized)
    scores = first_pass.scores(torch.from_numpy(matrix[:1]), NONE)[0]
    least = float(np.sort(matrix @ matrix[0])[-100])
    assert 100 <= len(first_pass.contenders(scores, matrix[0], least)) < 200


def test_hidden_rows_are_none(quantized: bool) -> None:
    matrix = drawn(5, alike=True)
    first_pass = FirstPass.of(torch.from_numpy(matrix), STARTS, quantized=quantized)
    scores = first_pass.scores(torch.from_numpy(matrix[:1]), NONE)[0]
    scores[5:] = -torch.inf
    assert first_pass.contenders(scores, matrix[0], -1e9).tolist() == [0, 1, 2, 3, 4]


def test_many_queries_are_answered_as_each_alone(quantized: bool) -> None:
    matrix = drawn(7, alike=False)
    first_pass = FirstPass.of(torch.from_numpy(matrix), STARTS, quantized)
    asked = torch.from_numpy(matrix[:50])
    alone = torch.cat([first_pass.scores(asked[row : row + 1], NONE) for row in range(50)])
    near = torch.from_numpy(np.stack([error(first_pass, query) for query in matrix[:50]]))
    assert ((first_pass.scores(asked, NONE) - alone).abs() <= 2 * near).all()


def test_rows_that_come_later_have_bounds_of_their_own(quantized: bool) -> None:
    matrix = drawn(6, alike=True)
    half = torch.from_numpy(matrix[: N // 2] / 8)
    later = torch.from_numpy(matrix[N // 2 :])
    small = FirstPass.of(half, STARTS, quantized)
    full = small.with_rows(later)
    assert (full.most >= small.most).all()
    assert (full.most > small.most).any() != quantized
    assert len(small.lost) == N // 2
    assert len(full.lost) == N
    exact = np.concatenate([half, later]).astype(np.float64) @ matrix[0]
    scores = full.scores(torch.from_numpy(matrix[:2]), later)[0]
    assert (np.abs(scores.numpy() - exact) <= error(full, matrix[0])).all()
    some = np.arange(1, N, 3)
    least = float(np.sort(exact[some])[-20])
    found = full.contenders(scores[some], matrix[0], least, some)
    assert set(np.flatnonzero(exact[some] >= least)) <= set(found.tolist())
    assert small.scores(torch.from_numpy(matrix[:2]), NONE).shape == (2, N // 2)


def test_a_shop_may_begin_without_items(quantized: bool) -> None:
    later = torch.from_numpy(drawn(8, alike=False)[:5])
    first_pass = FirstPass.of(NONE, STARTS, quantized).with_rows(later)
    scores = first_pass.scores(later[:1], later)[0]
    torch.testing.assert_close(scores, later @ later[0])
    assert first_pass.contenders(scores, later[0].numpy(), -1e9).tolist() == [*range(5)]
