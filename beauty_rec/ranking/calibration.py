"""How good and how honest probabilities are: AUC, log loss, Platt scaling."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata

Floats = NDArray[np.float32] | NDArray[np.float64]


def log_loss(logits: Floats, labels: Floats) -> float:
    """Return the mean of log(1 + exp(z)) - y z, in nats; NaN of nothing."""
    if not len(logits):
        return float("nan")
    z = logits.astype(np.float64)
    return float(np.mean(np.logaddexp(0.0, z) - labels * z))


def auc(scores: Floats, labels: Floats) -> float:
    """Return the chance that a positive scores above a negative, ties counting half.

    NaN when one of the classes is absent.
    """
    positive = labels > 0.5
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    return float((rankdata(scores)[positive].sum() - n * (n + 1) / 2) / (n * m))


def fit_platt(logits: Floats, labels: Floats, steps: int = 100) -> tuple[float, float]:
    """Return (a, b) that minimise the log loss of a z + b: Platt 1999, with his smoothed targets.

    Newton's method in float64, halving a step that does not help. (1, 0) when a class is absent. A
    negative slope would turn the order round: then a is 0, and only the prior is fitted.
    """
    z = logits.astype(np.float64)
    n, m = float((labels > 0.5).sum()), float((labels <= 0.5).sum())
    if not n or not m:
        return 1.0, 0.0
    target = np.where(labels > 0.5, (n + 1) / (n + 2), 1 / (m + 2))
    design = np.stack([z, np.ones_like(z)], axis=1)
    prior = np.array([0.0, np.log((n + 1) / (m + 1))])
    weights = prior
    best = log_loss(design @ weights, target)
    for _ in range(steps):
        p = expit(design @ weights)
        gradient = design.T @ (p - target)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        while (loss := log_loss(design @ (weights - step), target)) > best and np.any(step):
            step = np.where(np.abs(step) > 1e-12, step / 2, 0.0)
        weights, gain, best = weights - step, best - loss, loss
        if gain < 1e-12:
            break
    return (float(weights[0]), float(weights[1])) if weights[0] > 0 else (0.0, float(prior[1]))
