"""Exact ranks of answers among all unseen items, against loops."""

import numpy as np

from beauty_rec.search.ranks import answer_ranks

RNG = np.random.default_rng(0)
USERS = RNG.integers(-2, 3, (700, 3)).astype(np.float32)  # whole numbers: many ties
MATRIX = RNG.integers(-2, 3, (40, 3)).astype(np.float32)
SEEN = [RNG.choice(40, RNG.integers(0, 5), replace=False) for _ in USERS]


def test_ranks_by_loops() -> None:
    answers = np.array([next(i for i in range(40) if i not in seen) for seen in SEEN])
    ranks = answer_ranks(USERS, MATRIX, SEEN, answers)
    for row in range(0, 700, 13):
        score = MATRIX @ USERS[row]
        left = [i for i in range(40) if i not in SEEN[row]]
        own = score[answers[row]]
        above, equal = sum(score[left] > own), sum(score[left] == own)
        assert ranks[row] == above + (equal + 1) / 2


def test_an_answer_without_a_row_ranks_last() -> None:
    assert answer_ranks(USERS[:1], MATRIX, SEEN[:1], np.array([-1]))[0] == np.inf


def test_a_tower_that_has_diverged_finds_nothing() -> None:
    lost = np.full_like(USERS[:2], np.nan)
    assert (answer_ranks(lost, MATRIX, SEEN[:2], np.array([30, 31])) == np.inf).all()


def test_equal_items_tie_wherever_they_stand() -> None:
    twins = np.repeat(RNG.normal(size=(1, 60)).astype(np.float32), 1003, axis=0)
    users = RNG.normal(size=(70, 60)).astype(np.float32)
    none = [np.array([], np.int64)] * 70
    for answer in (0, 1002):
        assert set(answer_ranks(users, twins, none, np.full(70, answer))) == {502.0}
