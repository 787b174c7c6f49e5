"""Gradient-boosted trees over the dense features: the yardstick of every learned order.

LightGBM (Ke et al., 2017) with a binary objective; the number of trees is the one with the lowest
log loss on valid, calibrated first: it learns from some of the candidates that nobody chose, and is
asked of all, so by what it says as it is the loss falls with any tree that lowers the mean.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.measures.metrics import log_loss_of_logits
from beauty_rec.ranking.calibration import fit_platt
from beauty_rec.ranking.features.build import Features

if TYPE_CHECKING:
    from lightgbm import Booster

PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.08,
    "num_leaves": 31,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
MOST_TREES = 200
PATIENCE = 20
MANY_ROWS = 4_096
CALIBRATION = ".calibration.json"


def unavailable() -> str | None:
    """Return why no trees can be grown on this machine; None where they can.

    LightGBM needs the system's OpenMP library (``libgomp1`` on Debian), which bare images lack.
    """
    try:
        import lightgbm  # noqa: F401
    except (ImportError, OSError) as error:
        return f"no boosted trees: {error}"
    return None


@dataclass(frozen=True)
class Gbdt:
    """Trees over ``Features.raw``; missing values stay missing.

    They are grown on some of the candidates that nobody chose, so what they say is too high;
    ``calibration`` (a, b) makes ``1 / (1 + exp(-(a z + b)))`` of their logit z.
    """

    booster: "Booster"
    calibration: tuple[float, float] = (1.0, 0.0)

    def probabilities(self, features: Features) -> NDArray[np.float32]:
        """Return float32 ``[N]``."""
        if not len(features.raw):
            return np.zeros(0, np.float32)
        # A request's few rows are not worth a thread.
        threads = 1 if len(features.raw) < MANY_ROWS else 0
        found = self.booster.predict(features.raw, num_threads=threads)
        return np.asarray(found, dtype=np.float32)

    def calibrated(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how often candidates of which the trees say so are chosen, float32 ``[N]``."""
        slope, offset = self.calibration
        return np.asarray(expit(slope * _logits(probabilities) + offset), dtype=np.float32)

    def save(self, path: Path) -> None:
        """Write the trees as text and, beside them, the calibration as JSON; each atomically."""
        write_text_atomic(path.with_suffix(CALIBRATION), json.dumps(self.calibration) + "\n")
        write_text_atomic(path, self.booster.model_to_string())

    @classmethod
    def load(cls, path: Path) -> "Gbdt":
        """Read what :meth:`save` wrote."""
        from lightgbm import Booster

        booster = Booster(model_str=path.read_text(encoding="utf-8"))
        beside = path.with_suffix(CALIBRATION)
        if not beside.exists():  # of an earlier version
            return cls(booster)
        slope, offset = json.loads(beside.read_text(encoding="utf-8"))
        return cls(booster, (slope, offset))


def train_gbdt(
    train: tuple[NDArray[np.float32], NDArray[np.float32]],
    valid: tuple[NDArray[np.float32], NDArray[np.float32]],
    judged: NDArray[np.int64],
    seed: int,
) -> Gbdt:
    """Return the trees of ``(raw features [N, F], labels [N])``, calibrated by those of valid.

    Args:
        train: what is learned from.
        valid: what calibrates.
        judged: rows of valid that stop the training.
        seed: of what is drawn.
    """
    import lightgbm

    raw, labels = valid
    known = lightgbm.Dataset(*train, free_raw_data=True)
    stopping = lightgbm.Dataset(raw[judged], labels[judged], reference=known, free_raw_data=True)
    booster = lightgbm.train(
        {**PARAMETERS, "seed": seed, "metric": "None"},
        known,
        num_boost_round=MOST_TREES,
        valid_sets=[stopping],
        feval=lambda said, _: ("calibrated", _calibrated_loss(labels[judged], said), False),
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
    )
    return Gbdt(booster, fit_platt(np.asarray(booster.predict(raw, raw_score=True)), labels))


def _calibrated_loss(labels: NDArray[np.float32], said: NDArray[np.float64]) -> float:
    logits = _logits(said)
    slope, offset = fit_platt(logits, labels)
    return log_loss_of_logits(labels, slope * logits + offset)


def _logits(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(logit(np.clip(probabilities.astype(np.float64), 1e-9, 1 - 1e-9)))
