"""A short recipe for tests."""

from collections.abc import Callable

import polars as pl

from beauty_rec.settings import FineTuneSettings

MakePairs = Callable[[int], pl.DataFrame]


def settings(**changes: object) -> FineTuneSettings:
    plain: dict[str, object] = {
        "epochs": 3,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "temperature": 0.05,
        "frozen_layers": 0,
        "evaluations_per_epoch": 2,
        "checkpoint_minutes": 0,
    }
    return FineTuneSettings(**(plain | changes))
