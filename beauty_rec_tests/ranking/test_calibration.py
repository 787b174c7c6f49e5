"""Platt scaling against independent references."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from beauty_rec.measures.metrics import log_loss_of_logits
from beauty_rec.ranking.calibration import fit_platt


def data(seed: int, count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    logits = np.round(draw.normal(size=count), 1)
    return logits, (draw.random(count) < expit(0.5 * logits - 1)).astype(np.float64)


def test_platt_finds_the_optimum() -> None:
    logits, labels = data(2)
    n, m = labels.sum(), (1 - labels).sum()
    target = np.where(labels > 0.5, (n + 1) / (n + 2), 1 / (m + 2))
    found = minimize(lambda w: log_loss_of_logits(target, w[0] * logits + w[1]), [1.0, 0.0])
    assert fit_platt(logits, labels) == pytest.approx(tuple(found.x), abs=1e-3)


def test_platt_of_a_rare_class_and_of_wild_logits() -> None:
    logits, labels = data(3, 5_000)
    labels[np.flatnonzero(labels)[2:]] = 0
    slope, offset = fit_platt(300 * logits, labels)
    assert expit(slope * 300 * logits + offset).mean() == pytest.approx(3 / 5_000, rel=0.5)


def test_platt_never_turns_the_order_round() -> None:
    logits, labels = data(4)
    slope, offset = fit_platt(-logits, labels)
    assert slope == 0.0
    assert expit(offset) == pytest.approx(labels.mean(), abs=0.01)
    assert fit_platt(logits, np.zeros_like(labels)) == (1.0, 0.0)
