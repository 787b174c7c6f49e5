"""Hard negatives by index: the nearest other items below a ceiling."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from beauty_rec.retriever import negatives
from beauty_rec.retriever.negatives import hardest, hardest_of_cells, mine_hard_negatives


def drawn(rows: int, seed: int) -> NDArray[np.float32]:
    """Unit vectors around forty centres."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(40, 24))
    found = centres[random.integers(0, 40, rows)] + 0.4 * random.normal(size=(rows, 24))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_hardest_equals_a_full_sort() -> None:
    items, queries = drawn(300, 1), drawn(50, 2)
    own = np.arange(50) % 300
    scores = queries @ items.T
    ceiling = scores[np.arange(50), own] - np.float32(0.1)
    found = hardest(queries, items, own, ceiling, 5)
    for row, chosen in enumerate(found):
        allowed = [i for i in np.argsort(-scores[row]) if i != own[row]]
        allowed = [i for i in allowed if scores[row, i] <= ceiling[row]]
        assert [i for i in chosen if i >= 0] == allowed[:5]


def test_cells_find_nearly_what_all_items_hold() -> None:
    items, queries = drawn(4_000, 3), drawn(400, 4)
    own, ceiling = np.arange(400), np.full(400, 0.9, np.float32)
    exact, found = (
        search(queries, items, own, ceiling, 8) for search in (hardest, hardest_of_cells)
    )
    same = np.mean([len({*a} & {*b}) / 8 for a, b in zip(exact, found, strict=True)])
    assert same > 0.9
    scores = np.take_along_axis(queries @ items.T, np.maximum(found, 0), axis=1)
    assert (scores[found >= 0] <= 0.9 + 1e-6).all()
    assert (found != own[:, None]).all()
    assert all(len({*row}) == 8 for row in found)


class Vectors:
    """An encoder whose texts are numbers of vectors."""

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return drawn(60, 5)[[int(text) for text in texts]]

    encode_items = encode_queries


def test_an_item_stands_for_itself_once_and_the_farthest_fill_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where there are more items than every query is held against."""
    encoder: Any = Vectors()
    names = [str(row % 20) for row in range(60)]
    texts = [str(row) for row in range(60)]
    for most in (negatives.EXACT_ITEMS, 10):
        monkeypatch.setattr(negatives, "EXACT_ITEMS", most)
        mined = mine_hard_negatives(encoder, texts, texts, names, 4, 0.5)
        again = mine_hard_negatives(encoder, texts, texts, names, 4, 9.0)  # none is far enough
        for row, (chosen, far) in enumerate(zip(mined, again, strict=True)):
            assert len({names[other] for other in chosen} - {names[row]}) == 4
            assert all(other < 20 for other in (*chosen, *far)), "the first pair of each item"
            assert len({names[other] for other in far} - {names[row]}) == 4
