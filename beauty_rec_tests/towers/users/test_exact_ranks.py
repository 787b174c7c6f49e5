"""Exact ranks of answers among all unseen items, against loops."""

import numpy as np

from beauty_rec.artifacts import Vectors
from beauty_rec.search.ranks import answer_ranks, answer_ranks_along
from beauty_rec.towers.users.item_matrix import ItemMatrix
from beauty_rec.towers.users.train.data import UserTowerData
from beauty_rec.towers.users.train.validation import best_popularity

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


def test_ranks_along_a_direction_are_those_of_each_step() -> None:
    """Whole numbers, so that every product is exact; ties, seen and unknown items among them."""
    draw = np.random.default_rng(4)
    matrix = draw.integers(-3, 4, (60, 6)).astype(np.float32)
    matrix[40:] = matrix[20:40]
    users, direction = draw.integers(-3, 4, (2, 25, 6)).astype(np.float32)
    direction[:, 3:] = 0  # most weights move some of the columns alone
    answers = draw.integers(-1, 60, 25)
    seen = [np.setdiff1d(draw.integers(0, 60, 8), [answer]) for answer in answers]
    steps = [0.0, 0.5, 2.0, 40.0]
    found = answer_ranks_along(users, direction, steps, matrix, seen, answers)
    for ranks, step in zip(found, steps, strict=True):
        moved = users + np.float32(step) * direction
        assert ranks.tolist() == answer_ranks(moved, matrix, seen, answers).tolist()


def test_the_best_popularity_column_is_found_as_by_the_ranks_of_each_user(
    data: UserTowerData,
) -> None:
    events, draw = data.events, np.random.default_rng(6)
    matrix = draw.integers(0, 9, (len(data.item_vectors.ids), 5)).astype(np.float32)
    items = ItemMatrix(Vectors(data.item_vectors.ids, matrix), 2, 3, 0, 0)
    rows = np.concatenate([data.train[-200:], data.valid])
    seen = [events.seen(row) for row in rows]
    new = [i for i, row in enumerate(rows) if events.item[row] not in seen[i]]
    assert any(len(np.unique(seen[i])) < len(seen[i]) for i in new)  # bought again
    recalls = []
    for column in (2, 3, 4):
        ranks = answer_ranks(
            np.ones((len(new), 1), np.float32),
            matrix[:, column : column + 1],
            [seen[i] for i in new],
            events.item[rows[new]],
        )
        recalls.append(float((ranks <= 10).mean()))
    best, recall = best_popularity(items, 3, events, rows, 10)
    assert (best, recall) == (int(np.argmax(recalls)), max(recalls))


def test_of_equal_popularity_columns_the_second_is_taken(data: UserTowerData) -> None:
    events, items = data.events, len(data.item_vectors.ids)
    last, first = np.zeros((items, 3), np.float32), np.zeros((items, 3), np.float32)
    last[:, 2] = first[:, 0] = np.bincount(events.item, minlength=items)
    for columns, matrix, best in (
        (3, np.zeros((items, 3), np.float32), 1),  # nothing is found by any
        (3, np.repeat(last[:, 2:], 3, axis=1), 1),
        (1, last[:, 2:], 0),
        (3, first, 0),
        (3, last, 2),
    ):
        shop = ItemMatrix(Vectors(data.item_vectors.ids, matrix), 0, columns, 0, 0)
        assert best_popularity(shop, columns, events, data.valid, 10)[0] == best
        assert best_popularity(shop, columns, events, data.valid[:0], 10)[0] == min(1, columns - 1)
