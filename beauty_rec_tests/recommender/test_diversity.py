"""Diversity against its definition, written out."""

import numpy as np
import pytest

from beauty_rec.recommender.diversity import diversify


def unit(draw: np.random.Generator, n: int) -> np.ndarray:
    vectors = draw.normal(size=(n, 4)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("items", [20, 100])  # few of many are chosen in another way
@pytest.mark.parametrize("diversity", [0.0, 0.3, 0.9, 1.0])
def test_diversify_chooses_greedily(diversity: float, items: int) -> None:
    draw = np.random.default_rng(3)
    relevance = np.sort(draw.random(items).astype(np.float32))[::-1]
    vectors = unit(draw, items)
    chosen = diversify(relevance, vectors, 8, diversity).tolist()
    scaled = (relevance - relevance.min()) / (relevance.max() - relevance.min())
    if diversity == 0:
        assert chosen == list(range(8))
    assert len(set(chosen)) == 8
    for step in range(8):
        before = chosen[:step]
        gains = {
            i: (1 - diversity) * scaled[i]
            - diversity * max((float(vectors[i] @ vectors[j]) for j in before), default=0)
            for i in range(items)
            if i not in before
        }
        assert gains[chosen[step]] == pytest.approx(max(gains.values()), abs=1e-6)


def test_diversify_brings_unlike_items_forward() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    relevance = np.array([0.9, 0.8, 0.5], dtype=np.float32)
    assert diversify(relevance, vectors, 3, 0.6).tolist() == [0, 2, 1]


def test_few_of_many_are_the_first_of_all() -> None:
    draw = np.random.default_rng(7)
    relevance = np.sort(draw.random(200).astype(np.float32))[::-1]
    vectors = unit(draw, 200)
    every = diversify(relevance, vectors, 200, 0.5)
    for k in (1, 10, 20, 21):
        assert diversify(relevance, vectors, k, 0.5).tolist() == every[:k].tolist()
