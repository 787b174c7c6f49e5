"""What is asked for an event: the vector of its past, and the items that it had before."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from beauty_rec.artifacts import Vectors
from beauty_rec.settings import UserTowerSettings
from beauty_rec.towers.users.event_requests import event_requests
from beauty_rec.towers.users.train.data import UserTowerData
from beauty_rec.towers.users.train.recipe import train_user_tower
from beauty_rec_tests.towers.conftest import Load


def test_an_event_asks_with_what_was_before_it(
    data: UserTowerData,
    small: UserTowerSettings,
    reviews: pl.DataFrame,
    contexts: Vectors,
    profiles: pl.DataFrame,
    tmp_path: Path,
    load: Load,
) -> None:
    train_user_tower(data, small, tmp_path / "tower")
    served = load(tmp_path / "tower", data)
    asked = reviews.filter(split="valid")["review_id"].to_list()[:20]
    requests = event_requests(served, reviews, contexts, profiles, asked)
    rows = {row["review_id"]: row for row in reviews.iter_rows(named=True)}
    for review, seen in zip(asked, requests.seen, strict=True):
        own = rows[review]
        before = {
            row["parent_asin"]
            for row in rows.values()
            if row["user_id"] == own["user_id"] and row["timestamp"] < own["timestamp"]
        }
        assert {served.items.ids[row] for row in seen} == before
    assert any(len(seen) for seen in requests.seen)
    alone = event_requests(served, reviews, contexts, profiles, asked[3:4])
    np.testing.assert_allclose(alone.vectors[0], requests.vectors[3], atol=1e-5)
    with pytest.raises(KeyError):
        event_requests(served, reviews, contexts, profiles, ["no such event"])
