"""The item matrix against a loop over all items: exact scores, order, and items that come later."""

from dataclasses import replace

import numpy as np
import pytest

from beauty_rec.artifacts import Vectors
from beauty_rec.recommender.first_pass import FirstPass
from beauty_rec.recommender.space import SPARE_ROWS, ItemSpace
from beauty_rec.towers.users.item_matrix import ItemMatrix

N, W = 60, 12
TOWER, STATISTICS, TEXT = 5, 3, 4
draw = np.random.default_rng(5)
MATRIX = draw.normal(size=(N, W)).astype(np.float32)
MATRIX[7, 8:] = 0  # an item without text
MATRIX[21] = MATRIX[20]  # two items that nothing tells apart
IDS = [f"i{row}" for row in range(N)]
NO_TEXTS = Vectors([], np.zeros((0, TEXT), np.float32))


def made(quantized: bool | None = None) -> ItemSpace:
    """The space of the items; ``quantized``: its first pass."""
    items = ItemMatrix(Vectors(IDS, MATRIX), TOWER, STATISTICS, TEXT, 0)
    space = ItemSpace.of(items, NO_TEXTS)
    starts = (0, TOWER, TOWER + STATISTICS)
    quick = FirstPass.of(space.matrix[:N], starts, quantized)
    return replace(space, first_pass=quick)


@pytest.mark.parametrize("queries", [1, 2, 3, 11, 12, 40])
def test_scores_and_best_are_exact(queries: int, quantized: bool) -> None:
    space = made(quantized)
    asked = draw.normal(size=(queries, W)).astype(np.float32)
    scores = space.scores(asked)
    if not quantized:
        np.testing.assert_allclose(scores.numpy(), asked @ MATRIX.T, rtol=1e-4, atol=1e-4)
    wanted = MATRIX.astype(np.float64) @ asked[0]
    order = np.lexsort((np.arange(N), -wanted.astype(np.float32)))
    for among in (None, np.arange(1, N, 3)):
        rows, exact = space.best(scores[0], asked[0], 15, among)
        passing = order if among is None else order[np.isin(order, among)]
        assert rows.tolist() == passing[:15].tolist()
        np.testing.assert_allclose(exact, wanted[rows], rtol=1e-6)


def test_ties_are_in_the_order_of_the_rows() -> None:
    space = made()
    rows, _ = space.best(space.scores(MATRIX[20:21])[0], MATRIX[20], 2)
    assert rows.tolist() == [20, 21]


def test_texts_are_the_last_columns_wherever_they_come_from() -> None:
    space = made()
    assert not space.has_text[7]
    assert space.has_text[:7].all()
    text = MATRIX[:1, 8:]
    np.testing.assert_array_equal(space.texts(np.array([0])), text)
    scores = space.exact(np.arange(N), space.text_queries(text)[0])
    np.testing.assert_allclose(scores, MATRIX[:, 8:] @ text[0], rtol=1e-4, atol=1e-5)
    # A tower that reads no texts has a matrix without them; the search has them all the same.
    bare = ItemMatrix(Vectors(IDS, MATRIX[:, :8]), TOWER, STATISTICS, 0, 0)
    known = [row for row in range(N) if row != 7]
    texts = Vectors([IDS[row] for row in known], MATRIX[known, 8:])
    again = ItemSpace.of(bare, texts)
    np.testing.assert_array_equal(again.vectors(np.arange(N)), MATRIX)
    assert again.rows(["i3", "nobody"]).tolist() == [3, -1]


def test_items_that_come_later_are_found_and_older_spaces_do_not_see_them() -> None:
    space = made(False)
    vectors = 9 * draw.normal(size=(2, W)).astype(np.float32)
    grown = space.with_items(["new", "i4"], vectors)
    scores = grown.scores(vectors[:1])[0]
    assert grown.best(scores, vectors[0], 1)[0].tolist() == [N]
    assert grown.ids[N] == "new"
    assert grown.row_of["i4"] == N + 1
    assert "new" not in space.row_of
    assert space.row_of["i4"] == 4
    assert len(space.scores(vectors)[0]) == N
    assert grown.best(grown.scores(vectors)[1], vectors[1], 1)[0].tolist() == [N + 1]
    many = np.tile(vectors[:1], (8, 1))
    np.testing.assert_allclose(grown.scores(many), np.tile(scores, (8, 1)), rtol=1e-4, atol=1e-4)


def test_two_spaces_that_grow_from_one_have_each_their_own_items(quantized: bool) -> None:
    space = made(quantized)
    added = 9 * draw.normal(size=(3, 2, W)).astype(np.float32)
    added[1, :, TOWER + STATISTICS :] = 0  # without text
    one = space.with_items(["a", "b"], added[0])
    other = space.with_items(["c", "d"], added[1])
    more = one.with_items(["e", "f"], added[2])
    for grown, start, own in ((one, N, 0), (other, N, 1), (more, N, 0), (more, N + 2, 2)):
        rows = np.arange(start, start + 2)
        np.testing.assert_array_equal(grown.vectors(rows), added[own])
        best = [grown.best(grown.scores(added[own])[i], added[own, i], 1)[0][0] for i in (0, 1)]
        assert best == rows.tolist()
        assert (grown.has_text[rows] == (own != 1)).all()
    np.testing.assert_array_equal(other.vectors(np.array([N + 1, 3])), [added[1, 1], MATRIX[3]])


def test_the_space_grows_beyond_its_spare_rows() -> None:
    space = made()
    for start in range(0, SPARE_ROWS + 60, 64):
        vectors = draw.normal(size=(64, W)).astype(np.float32)
        space = space.with_items([f"n{start + i}" for i in range(64)], vectors)
    assert len(space.ids) == len(set(space.ids)) > N + SPARE_ROWS
    assert np.isfinite(space.scores(vectors).numpy()).all()
    np.testing.assert_array_equal(space.vectors(np.array([len(space) - 1]))[0], vectors[-1])
