"""Requests of events: an index's answer and exact search give one frame."""

from pathlib import Path

import numpy as np
import polars as pl

from beauty_rec.artifacts import Vectors
from beauty_rec.search.exact import ExactIndex
from beauty_rec.settings import UserTowerSettings
from beauty_rec.towers.users.candidates import event_requests, exact_candidates, listed_candidates
from beauty_rec.towers.users.train.data import UserTowerData
from beauty_rec.towers.users.train.recipe import train_user_tower
from beauty_rec_tests.towers.conftest import Load


def test_no_seen_item_is_a_candidate_and_an_index_agrees(
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
    exact = exact_candidates(served, requests, 10)
    seen = dict(zip(asked, requests.seen_ids(), strict=True))
    assert any(seen.values())
    for review, item, *_ in exact.iter_rows():
        assert item not in seen[review]
    assert exact.group_by("review_id").len()["len"].to_list() == [10] * 20

    everything = ExactIndex(served.items.vectors).search(requests.vectors, 10_000)
    kept = [
        [(i, s) for i, s in zip(ids, scores, strict=True) if i not in seen[review]][:10]
        for review, ids, scores in zip(asked, everything.ids, everything.scores, strict=True)
    ]
    listed = listed_candidates(
        requests,
        [[item for item, _ in row] for row in kept],
        np.array([[score for _, score in row] for row in kept], dtype=np.float32),
        10,
    )
    assert listed.schema == exact.schema
    np.testing.assert_allclose(listed["score"].to_numpy(), exact["score"].to_numpy(), atol=1e-4)
