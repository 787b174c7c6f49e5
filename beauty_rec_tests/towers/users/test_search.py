import numpy as np

from beauty_rec.search.ranks import answer_ranks
from beauty_rec.towers.users.search import candidates_frame, user_candidates

RNG = np.random.default_rng(0)
USERS = RNG.integers(-2, 3, (700, 3)).astype(np.float32)  # whole numbers: many ties
MATRIX = RNG.integers(-2, 3, (40, 3)).astype(np.float32)
SEEN = [RNG.choice(40, RNG.integers(0, 5), replace=False) for _ in USERS]


def test_candidates_and_ranks_by_loops() -> None:
    items, scores = user_candidates(USERS, MATRIX, SEEN, 7)
    answers = np.array([next(i for i in range(40) if i not in seen) for seen in SEEN])
    ranks = answer_ranks(USERS, MATRIX, SEEN, answers)
    for row in range(0, 700, 13):
        score = MATRIX @ USERS[row]
        left = [i for i in range(40) if i not in SEEN[row]]
        best = sorted(left, key=lambda i: (-score[i], i))[:7]
        assert items[row].tolist() == best
        assert scores[row].tolist() == [score[i] for i in best]
        own = score[answers[row]]
        above, equal = sum(score[left] > own), sum(score[left] == own)
        assert ranks[row] == above + (equal + 1) / 2


def test_k_larger_than_the_catalogue() -> None:
    items, scores = user_candidates(USERS[:2], MATRIX, [np.arange(39), np.array([], int)], 100)
    assert items[0].tolist() == [39] + [-1] * 99
    assert sorted(items[1][:40]) == list(range(40))
    assert np.isneginf(scores[1][40:]).all()


def test_an_answer_without_a_row_ranks_last() -> None:
    assert answer_ranks(USERS[:1], MATRIX, SEEN[:1], np.array([-1]))[0] == np.inf


def test_a_tower_that_has_diverged_finds_nothing() -> None:
    lost = np.full_like(USERS[:2], np.nan)
    assert (answer_ranks(lost, MATRIX, SEEN[:2], np.array([30, 31])) == np.inf).all()


def test_frame() -> None:
    items = np.array([[2, 0], [1, -1]])
    frame = candidates_frame(["x", "y"], items, np.ones((2, 2), np.float32), ["a", "b", "c"])
    assert frame.rows() == [("x", "c", 1, 1.0), ("x", "a", 2, 1.0), ("y", "b", 1, 1.0)]


def test_no_users() -> None:
    items, _ = user_candidates(USERS[:0], MATRIX, [], 5)
    assert items.shape == (0, 5)


def test_equal_items_tie_wherever_they_stand() -> None:
    twins = np.repeat(RNG.normal(size=(1, 60)).astype(np.float32), 1003, axis=0)
    users = RNG.normal(size=(70, 60)).astype(np.float32)
    none = [np.array([], np.int64)] * 70
    for answer in (0, 1002):
        assert set(answer_ranks(users, twins, none, np.full(70, answer))) == {502.0}
