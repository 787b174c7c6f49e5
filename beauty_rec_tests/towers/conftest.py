"""A small world: two occasions, each with its own half of the items, and sizes that fit."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from beauty_rec.artifacts import Vectors
from beauty_rec.settings import UserTowerSettings
from beauty_rec.towers.users.current_items import current_items
from beauty_rec.towers.users.served import ServedUserTower
from beauty_rec.towers.users.train.data import UserTowerData, user_tower_data

torch.set_num_threads(1)  # tensors this small only make threads wait for each other

ITEMS = 60
DAY = 86_400_000


@pytest.fixture
def small() -> UserTowerSettings:
    return UserTowerSettings(
        hidden=8, heads=2, epochs=2, origins=2, origin_step=0.2, batch_size=64,
        uniform_negatives=32, learning_rate=1e-2, candidates=10, min_context_share=0.01,
    )  # fmt: skip


@pytest.fixture
def reviews() -> pl.DataFrame:
    rng = np.random.default_rng(1)
    rows = []
    for number in range(900):
        occasion = int(rng.integers(2))
        item = occasion * ITEMS // 2 + min(int(rng.exponential(8)), ITEMS // 2 - 1)
        rows.append(
            {
                "review_id": f"r{number:04}",
                "user_id": f"u{rng.integers(300):03}",
                "parent_asin": f"i{item:02}",
                "timestamp": 1_500_000_000_000 + int(number / 900 * 400) * DAY,
                "rating": float(rng.integers(1, 6)),
                "context": ("wedding", "work")[occasion] if rng.random() < 0.9 else None,
                "extras": json.dumps({"fit": ("small", "large")[rng.integers(2)], "note": "x"}),
                "split": "train" if number < 720 else "valid" if number < 810 else "test",
            }
        )
    return pl.DataFrame(rows).unique(
        ["user_id", "parent_asin", "timestamp"], keep="first", maintain_order=True
    )


@pytest.fixture
def item_vectors() -> Vectors:
    matrix = np.random.default_rng(2).normal(size=(ITEMS, 6)).astype(np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return Vectors([f"i{i:02}" for i in range(ITEMS)], matrix)


@pytest.fixture
def contexts() -> Vectors:
    return Vectors(["wedding", "work"], np.eye(2, 5, dtype=np.float32))


@pytest.fixture
def profiles() -> pl.DataFrame:
    rng = np.random.default_rng(3)
    return pl.DataFrame(
        {
            "user_id": [f"u{i:03}" for i in range(0, 300, 2)],
            "height_cm": [None if i % 7 == 0 else float(rng.normal(165, 7)) for i in range(150)],
            "age": [float("nan") if i % 5 == 0 else float(rng.normal(30, 5)) for i in range(150)],
            "body_type": [("apple", "pear", None)[i % 3] for i in range(150)],
        },
        schema_overrides={"height_cm": pl.Float32, "age": pl.Float32},
    )


@pytest.fixture
def data(
    reviews: pl.DataFrame, item_vectors: Vectors, contexts: Vectors, profiles: pl.DataFrame
) -> UserTowerData:
    return user_tower_data(reviews, item_vectors, contexts, profiles)


Load = Callable[[Path, UserTowerData], ServedUserTower]


@pytest.fixture
def load(reviews: pl.DataFrame) -> Load:
    """Opens a trained tower with the items of the day."""

    def opened(folder: Path, data: UserTowerData) -> ServedUserTower:
        items = current_items(folder, reviews, data.profiles, data.item_vectors, data.text_vectors)
        return ServedUserTower.load(folder, items)

    return opened
