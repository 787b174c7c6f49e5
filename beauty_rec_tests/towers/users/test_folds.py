"""Towers learn from what they are told when they are asked."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from beauty_rec.artifacts import Vectors
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.settings import Settings
from beauty_rec.towers.users.train import folds
from beauty_rec.towers.users.train.data import UserTowerData


class Stopped(Exception):
    """Nothing is trained here."""


@pytest.mark.parametrize(
    ("free", "context_from", "told"),
    [(False, "context", 2), (True, "context", 0), (True, "review_text", 900)],
)
def test_a_tower_learns_from_occasions_and_from_free_texts_only_where_it_is_asked_with_them(
    free: bool,
    context_from: str,
    told: int,
    reviews: pl.DataFrame,
    item_vectors: Vectors,
    profiles: pl.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = pl.lit("looking for ") + pl.col("review_id")
    reviews = reviews.with_columns(text=own, user_id=pl.lit("guest"))
    if free:
        reviews = reviews.with_columns(context=own)
    encoder = SimpleNamespace(
        encode_contexts=lambda texts: np.eye(1, 5, dtype=np.float32).repeat(len(texts), axis=0)
    )
    read: list[UserTowerData] = []

    def noted(data: UserTowerData, *args: Any, **kwargs: Any) -> None:
        read.append(data)
        raise Stopped

    monkeypatch.setattr(TextEncoder, "load", lambda *args: encoder)
    monkeypatch.setattr(folds, "train_user_tower", noted)
    past: Any = SimpleNamespace(starts=[])
    with pytest.raises(Stopped):
        folds.train_with_folds(
            reviews, item_vectors, item_vectors, past, tmp_path, profiles,
            Settings(
                recommendation={"context_from": context_from}, ranking={"max_user_events": 100}
            ),
            *(tmp_path / "t", tmp_path),
        )  # fmt: skip
    assert (
        len(read[0].events.contexts) == len(read[0].context_vectors.ids) == min(told, len(reviews))
    )
    events = read[0].events
    assert (events.end - events.start).max() == 100
