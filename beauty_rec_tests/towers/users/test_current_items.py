"""The item matrix outside the user tower: as trained when nothing moved, and movable."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from beauty_rec.artifacts import Vectors, content_hash
from beauty_rec.settings import UserTowerSettings
from beauty_rec.towers.users.current_items import current_items
from beauty_rec.towers.users.item_matrix import ItemMatrix, build_item_matrix
from beauty_rec.towers.users.served import ServedUserTower
from beauty_rec.towers.users.train import recipe
from beauty_rec.towers.users.train.data import UserTowerData, user_tower_data
from beauty_rec.towers.users.train.recipe import train_user_tower


@pytest.fixture
def text(item_vectors: Vectors) -> Vectors:
    matrix = np.random.default_rng(4).normal(size=(len(item_vectors.ids), 5)).astype(np.float32)
    return Vectors(item_vectors.ids, matrix)


@pytest.mark.parametrize("only_in_valid", [False, True])
def test_it_is_what_the_training_saw(
    reviews: pl.DataFrame,
    item_vectors: Vectors,
    contexts: Vectors,
    profiles: pl.DataFrame,
    text: Vectors,
    small: UserTowerSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    only_in_valid: bool,
) -> None:
    if only_in_valid:  # the training knows a column of which train's rows have one value
        fit = pl.when(split="train").then(pl.lit('{"fit": "small"}')).otherwise("extras")
        reviews = reviews.with_columns(extras=fit)
    seen: list[ItemMatrix] = []

    def kept(*args: object) -> ItemMatrix:
        seen.append(build_item_matrix(*args))  # type: ignore[arg-type]
        return seen[-1]

    monkeypatch.setattr(recipe, "build_item_matrix", kept)
    cut = int(reviews["timestamp"][500])
    for until in (None, cut):
        data = user_tower_data(
            reviews.filter(pl.col("split") != "test"),
            item_vectors, contexts, profiles, text, train_until_ms=until,
        )  # fmt: skip
        train_user_tower(data, small, tmp_path / "t")
        found = current_items(
            tmp_path / "t", reviews, profiles, item_vectors, text, as_trained=until is not None
        )
        np.testing.assert_array_equal(found.matrix, seen[-1].matrix)
        assert replace(found, vectors=seen[-1].vectors) == seen[-1]


def test_a_new_item_and_a_new_sale_need_no_training(
    data: UserTowerData, small: UserTowerSettings, reviews: pl.DataFrame, tmp_path: Path
) -> None:
    train_user_tower(data, small, tmp_path / "t")
    before = content_hash(tmp_path / "t")
    grown = Vectors(
        [*data.item_vectors.ids, "new"],
        np.concatenate([data.item_vectors.matrix, data.item_vectors.matrix[:1]]),
    )
    old = current_items(tmp_path / "t", reviews, data.profiles, data.item_vectors, None)
    sale = (
        reviews.filter(split="train")
        .tail(1)
        .with_columns(
            review_id=pl.lit("sale"), parent_asin=pl.lit("new"), timestamp=pl.col("timestamp") + 1
        )
    )
    later = pl.concat([reviews, sale])
    items = current_items(tmp_path / "t", later, data.profiles, grown, None)
    served = ServedUserTower.load(tmp_path / "t", items)
    assert items.ids[-1] == "new"
    assert served.as_of_ms == old.as_of_ms + 1
    popular = items.tower + served.tower.shape.popularity
    unsold = current_items(tmp_path / "t", reviews, data.profiles, grown, None)
    assert items.matrix[-1, popular] > unsold.matrix[-1, popular]
    assert content_hash(tmp_path / "t") == before


def test_held_out_rows_change_nothing(
    data: UserTowerData, small: UserTowerSettings, reviews: pl.DataFrame, tmp_path: Path
) -> None:
    train_user_tower(data, small, tmp_path / "t")
    held_out = pl.col("split") != "train"
    changed = reviews.with_columns(
        parent_asin=pl.when(held_out).then(pl.lit("i07")).otherwise("parent_asin"),
        rating=pl.when(held_out).then(1.0).otherwise("rating"),
    )
    found = [
        current_items(tmp_path / "t", frame, data.profiles, data.item_vectors, None)
        for frame in (reviews, changed)
    ]
    np.testing.assert_array_equal(found[0].matrix, found[1].matrix)


def test_it_comes_back_from_disk_and_refuses_other_widths(
    data: UserTowerData, small: UserTowerSettings, reviews: pl.DataFrame, tmp_path: Path
) -> None:
    train_user_tower(data, small, tmp_path / "t")
    items = current_items(tmp_path / "t", reviews, data.profiles, data.item_vectors, None)
    items.save(tmp_path / "items")
    kept = ItemMatrix.load(tmp_path / "items")
    np.testing.assert_array_equal(kept.matrix, items.matrix)
    assert replace(kept, vectors=items.vectors) == items
    wide = Vectors(data.item_vectors.ids, np.zeros((60, 7), np.float32))
    with pytest.raises(ValueError, match=r"7 wide, but .* 6; train it anew"):
        current_items(tmp_path / "t", reviews, data.profiles, wide, None)
    with pytest.raises(ValueError, match="rebuild `item_index`"):
        ServedUserTower.load(tmp_path / "t", replace(items, text=3))
