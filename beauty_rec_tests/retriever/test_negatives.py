"""Hard negatives by index: the nearest other items below a ceiling."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from beauty_rec.retriever import finetune, negatives
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.retriever.finetune import fine_tune
from beauty_rec.retriever.losses import batch_loss
from beauty_rec.retriever.negatives import hardest, hardest_of_cells, mine_hard_negatives
from beauty_rec.settings import EncoderSettings
from beauty_rec_tests.retriever.recipe import MakePairs, settings


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


def test_no_hard_negative_is_the_answer_of_another_query_of_its_batch(
    make_pairs: MakePairs,
    encoder_settings: EncoderSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batches: list[list[list[str]]] = []

    def seen(
        encoder: TextEncoder, loss: torch.nn.Module, columns: list[list[str]], chunk: int
    ) -> torch.Tensor:
        batches.append(columns)
        return batch_loss(encoder, loss, columns, chunk)

    monkeypatch.setattr(finetune, "batch_loss", seen)
    recipe = settings(hard_negatives=3, epochs=1)
    fine_tune(make_pairs(24), encoder_settings, recipe, tmp_path / "t", tmp_path / "c", None)
    assert batches
    for _, positives, *hard in batches:
        assert len(hard) == 3
        for own in zip(*hard, strict=True):
            assert len(set(own)) == 3
            assert not set(own) & set(positives)


def test_mined_negatives_are_other_items_below_the_margin(
    make_pairs: MakePairs, encoder_settings: EncoderSettings, tiny_model: Path
) -> None:
    encoder, pairs = TextEncoder.load(tiny_model, encoder_settings), make_pairs(10)
    queries, positives = pairs["query"].to_list(), pairs["positive"].to_list()
    items = pairs["parent_asin"].to_list()
    margin = 0.01
    mined = mine_hard_negatives(encoder, queries, positives, items, 3, margin)
    scores = encoder.encode_queries(queries) @ encoder.encode_items(positives).T
    for row, chosen in enumerate(mined):
        assert len({items[other] for other in chosen} - {items[row]}) == 3
        best = sorted(
            {
                items[j]: scores[row, j]
                for j in range(len(items))
                if items[j] != items[row] and scores[row, j] <= scores[row, row] - margin
            }.items(),
            key=lambda pair: -pair[1],
        )[:3]
        assert [items[other] for other in chosen][: len(best)] == [item for item, _ in best]
