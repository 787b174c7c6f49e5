"""Items of the past, stored: each fold gets the vectors of what was known before it."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from beauty_rec.events.arrays import read_events
from beauty_rec.towers.past.build import PastInputs, filled
from beauty_rec.towers.past.stored import PastItems


def _rows(names: list[str], tower: list[int], text: list[int]) -> pl.DataFrame:
    return pl.DataFrame({"parent_asin": names, "tower": tower, "text": text})


def test_each_fold_has_the_items_and_vectors_of_its_start(tmp_path: Path) -> None:
    tower = np.arange(6, dtype=np.float32).reshape(3, 2)
    texts = np.arange(4, dtype=np.float32).reshape(2, 2) + 10
    attributes = pl.DataFrame({"parent_asin": ["a", "b"], "category": ["soap", None]})
    inputs = PastInputs(
        {5: attributes.head(1), 9: attributes},
        {5: _rows(["a"], [0], [-1]), 9: _rows(["a", "b"], [2, 1], [1, 0])},
    )
    inputs.save(tower, texts, tmp_path / "past")
    past = PastItems.load(tmp_path / "past")
    assert past.starts == (5, 9)
    assert past.attributes(5).equals(attributes.head(1))
    assert past.vectors(5).ids == ["a"]
    assert past.vectors(5).matrix.tolist() == [[0, 1]]
    assert past.texts(5).ids == []
    assert past.vectors(9).matrix.tolist() == [[4, 5], [2, 3]]
    assert past.texts(9).matrix.tolist() == [[12, 13], [10, 11]]
    with pytest.raises(ValueError, match=r"no fold that starts at 7.*run --select user_tower"):
        past.vectors(7)


def test_only_what_is_new_is_computed() -> None:
    known = np.array([[1, 1], [2, 2]], dtype=np.float32)
    asked: list[list[str]] = []

    def compute(texts: list[str]) -> np.ndarray:
        asked.append(texts)
        return np.full((len(texts), 2), 9, np.float32)

    found = filled(["new", "b", "a"], {"a": 0, "b": 1}, known, compute)
    assert found.tolist() == [[9, 9], [2, 2], [1, 1]]
    assert filled(["a"], {"a": 0}, known, compute).tolist() == [[1, 1]]
    assert asked == [["new"]]


def test_events_of_fewer_items_are_the_same_events(reviews: pl.DataFrame) -> None:
    names = sorted(reviews["parent_asin"].unique())
    fewer = names[::2]
    mine, expected = read_events(reviews, names).of_items(fewer), read_events(reviews, fewer)
    assert mine.item_ids == expected.item_ids
    assert (mine.item == expected.item).all()
    assert (mine.by_user == expected.by_user).all()
    strange = read_events(reviews, names[:3]).of_items(names[1:5])
    assert set(np.unique(strange.item).tolist()) <= {-1, 0, 1}
