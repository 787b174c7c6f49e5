import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from beauty_rec.towers.items.attribute_space import attribute_space, attribute_vectors, side_by_side

VOCABULARY = 12
RE = arrays(np.int64, st.tuples(st.integers(1, 12), st.integers(0, 5)), elements=st.integers(0, 11))


def by_hand(re: np.ndarray) -> np.ndarray:
    """Cosines of the items' sets of values, each weighted by its rarity."""
    rows = [set(row[row > 0].tolist()) for row in re]
    weight = {
        value: max(1e-3, np.log((len(rows) + 1) / (sum(value in row for row in rows) + 1)))
        for value in set().union(*rows)
    }
    length = [np.sqrt(sum(weight[v] ** 2 for v in row)) for row in rows]
    return np.array(
        [
            [
                sum(weight[v] ** 2 for v in one & two) / (length[i] * length[j])
                if one and two
                else 0
                for j, two in enumerate(rows)
            ]
            for i, one in enumerate(rows)
        ]
    )


@given(RE)
def test_with_room_for_all_values_nothing_is_lost(re: np.ndarray) -> None:
    space = attribute_space(re, VOCABULARY, 20)
    vectors = attribute_vectors(re, space)
    assert space.shape == (VOCABULARY, len(set(re[re > 0].tolist())))
    np.testing.assert_allclose(vectors @ vectors.T, by_hand(re), atol=1e-5)


@given(RE, st.integers(0, 5))
def test_any_items_and_any_width_give_unit_vectors(re: np.ndarray, width: int) -> None:
    space = attribute_space(re, VOCABULARY, width)
    assert space.shape[1] <= width
    length = np.linalg.norm(attribute_vectors(re, space), axis=1)
    assert ((abs(length - 1) < 1e-4) | (length == 0)).all()


def test_few_columns_keep_most_of_it() -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(4, size=300)
    re = 3 + kind[:, None] * 10 + rng.integers(10, size=(300, 4))
    space = attribute_space(re, 43, 8)
    vectors = attribute_vectors(re, space)
    assert space.shape == (43, 8)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    same = kind[:, None] == kind
    cosine = vectors @ vectors.T
    assert cosine[same].mean() > 0.4 > 0.05 > abs(cosine[~same].mean())
    np.testing.assert_array_equal(space, attribute_space(re, 43, 8))


def test_the_best_columns_are_those_of_the_dense_decomposition() -> None:
    re = 3 + np.random.default_rng(1).integers(20, size=(80, 5))
    exact = attribute_vectors(re, attribute_space(re, 30, 30))
    _, values, _ = np.linalg.svd(exact, full_matrices=False)
    space = attribute_space(re, 30, 6)
    rarity = np.linalg.norm(attribute_space(re, 30, 30), axis=1)
    columns = space / np.where(rarity, rarity, 1)[:, None]
    np.testing.assert_allclose(columns.T @ columns, np.eye(6), atol=1e-5)
    unit = attribute_space(re, 30, 30)
    used = rarity > 0
    shared = exact @ (unit / np.where(used, rarity, 1)[:, None])[used].T
    np.testing.assert_allclose(
        np.linalg.norm(shared @ columns[used], axis=0), values[:6], rtol=1e-4
    )


@pytest.mark.parametrize(
    "re", [np.zeros((3, 2), np.int64), np.zeros((3, 0), np.int64), np.zeros((0, 2), np.int64)]
)
def test_items_without_values_have_only_what_is_learned(re: np.ndarray) -> None:
    space = attribute_space(re, VOCABULARY, 4)
    assert space.shape == (VOCABULARY, 0)
    learned = np.eye(3, 5, dtype=np.float32)[: len(re)]
    np.testing.assert_array_equal(side_by_side(learned, attribute_vectors(re, space), 0.8), learned)


def test_a_value_of_a_later_run_lies_at_zero() -> None:
    space = attribute_space(np.array([[3, 4], [5, 0]]), VOCABULARY, 4)
    assert not attribute_vectors(np.array([[9, 1]]), space).any()
    beside = attribute_vectors(np.array([[3, 9]]), space)
    np.testing.assert_allclose(beside, attribute_vectors(np.array([[3, 0]]), space))


def test_shares_of_the_inner_product() -> None:
    learned, attributes = np.eye(2, 3, dtype=np.float32), np.ones((2, 1), np.float32)
    joined = side_by_side(learned, attributes, 0.8)
    np.testing.assert_allclose(joined @ joined.T, [[1, 0.8], [0.8, 1]], rtol=1e-6)
    for share in (0.8, 1.0):
        alone = side_by_side(learned, np.zeros((2, 1), np.float32), share)
        np.testing.assert_allclose(np.linalg.norm(alone, axis=1), 1, rtol=1e-6)
