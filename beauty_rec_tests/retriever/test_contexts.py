"""Scores of candidates by the text retriever, against a slow loop."""

import numpy as np
import polars as pl
import pytest

from beauty_rec.artifacts import Vectors
from beauty_rec.retriever.contexts import TOP, with_text_scores


def unit(rows: int, seed: int) -> np.ndarray:
    matrix = np.random.default_rng(seed).standard_normal((rows, 8)).astype(np.float32)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def test_scores_and_ranks_equal_a_loop_over_all_items() -> None:
    items = Vectors([f"i{n}" for n in range(300)], unit(300, 0))
    contexts = Vectors(["work", "wedding"], unit(2, 1))
    asked = pl.DataFrame({"review_id": ["a", "b", "c"], "context": [" wedding", None, "work"]})
    rng = np.random.default_rng(2)
    rows = [(r, f"i{n}") for r in "abc" for n in rng.permutation(300)[:150]]
    candidates = pl.DataFrame(
        [*rows, ("a", "unknown")], schema=["review_id", "parent_asin"], orient="row"
    )
    found = with_text_scores(candidates, asked, contexts, items)
    assert found.select("review_id", "parent_asin").equals(candidates)
    for review, item, score, rank in found.iter_rows():
        if review == "b" or item == "unknown":
            assert score is None
            assert rank is None
            continue
        scores = items.matrix @ contexts.matrix[1 if review == "a" else 0]
        own = scores[int(item[1:])]
        assert abs(score - own) < 1e-5
        place = 1 + int((scores > own).sum())
        assert rank == pytest.approx(min(place, TOP + 1), abs=1)


def test_without_contexts_nothing_is_said() -> None:
    items = Vectors(["i0"], unit(1, 0))
    asked = pl.DataFrame(
        {"review_id": ["a"], "context": [None]}, schema_overrides={"context": pl.String}
    )
    candidates = pl.DataFrame({"review_id": ["a"], "parent_asin": ["i0"]})
    found = with_text_scores(candidates, asked, Vectors([], np.zeros((0, 8), np.float32)), items)
    assert found["text_score"].to_list() == found["text_rank"].to_list() == [None]


def test_texts_that_score_alike_share_a_rank() -> None:
    """Rounding alone may not tell items of one text apart."""
    matrix = np.eye(8, dtype=np.float32)[[0, 1, 1, 2]]
    matrix[2] *= np.float32(1 - 1e-7)
    items = Vectors(["far", "one", "same", "third"], matrix)
    query = Vectors(["work"], np.array([[0.1, 0.9, 0.5, 0, 0, 0, 0, 0]], np.float32))
    asked = pl.DataFrame({"review_id": ["a"], "context": ["work"]})
    candidates = pl.DataFrame({"review_id": ["a"] * 4, "parent_asin": items.ids})
    found = with_text_scores(candidates, asked, query, items)
    assert found["text_rank"].to_list() == pytest.approx([4, 1, 1, 3], abs=1e-3)
