"""Trees over the dense features: they learn, they read missing values, and survive the disk."""

from pathlib import Path

import numpy as np
from scipy.special import expit

from beauty_rec.measures.metrics import auc
from beauty_rec.ranking.features.build import Features
from beauty_rec.ranking.gbdt import MOST_TREES, Gbdt, train_gbdt

ALL = np.arange(3_000)


def features(raw: np.ndarray) -> Features:
    nothing = np.zeros((1, 1), np.int32)
    rows = np.zeros(len(raw), np.int64)
    return Features(nothing, nothing, rows, rows, raw)


def drawn(seed: int, n: int = 3_000) -> tuple[np.ndarray, np.ndarray]:
    """The first column decides, the second is noise and often missing."""
    draw = np.random.default_rng(seed)
    raw = draw.normal(size=(n, 2)).astype(np.float32)
    labels = (raw[:, 0] + 0.3 * draw.normal(size=n) > 1).astype(np.float32)
    raw[draw.random(n) < 0.4, 1] = np.nan
    return raw, labels


def test_trees_learn_what_decides_and_are_the_same_again(tmp_path: Path) -> None:
    trees = train_gbdt(drawn(1), drawn(2), ALL, 13)
    raw, labels = drawn(3)
    found = trees.probabilities(features(raw))
    assert auc(labels, found) > 0.95
    trees.save(tmp_path / "gbdt.txt")
    np.testing.assert_array_equal(
        Gbdt.load(tmp_path / "gbdt.txt").probabilities(features(raw)), found
    )
    again = train_gbdt(drawn(1), drawn(2), ALL, 13)
    np.testing.assert_array_equal(again.probabilities(features(raw)), found)
    assert len(trees.probabilities(features(raw[:0]))) == 0


def test_what_is_said_of_thinned_negatives_can_be_believed_when_calibrated(tmp_path: Path) -> None:
    raw, labels = drawn(1)
    draw = np.random.default_rng(7)
    kept = (labels == 1) | (draw.random(len(labels)) < 0.1)
    trees = train_gbdt((raw[kept], labels[kept]), drawn(2), ALL, 13)
    trees.save(tmp_path / "gbdt.txt")
    raw, labels = drawn(3)
    for model in (trees, Gbdt.load(tmp_path / "gbdt.txt")):
        said = model.probabilities(features(raw))
        believed = model.calibrated(said)
        assert said.mean() > 1.5 * labels.mean()
        assert abs(believed.mean() - labels.mean()) < 0.03
        assert (np.diff(believed[np.argsort(said, kind="stable")]) >= 0).all()


def test_a_thinned_training_is_stopped_by_what_it_tells_apart() -> None:
    """Not by how often it says yes, which falls towards valid's rate with every tree."""

    def rare(seed: int, rows: int, others: float = 1) -> tuple[np.ndarray, np.ndarray]:
        draw = np.random.default_rng(seed)
        raw = draw.normal(size=(rows, 8)).astype(np.float32)
        said = 0.5 * raw[:, 0] + 0.4 * raw[:, 1] * raw[:, 2] - 6.5
        labels = (draw.random(rows) < expit(said)).astype(np.float32)
        kept = (labels == 1) | (draw.random(rows) < others)
        return raw[kept], labels[kept]

    train, valid = rare(1, 60_000, others=0.1), rare(2, 30_000)
    trees = train_gbdt(train, valid, np.arange(30_000), 13)
    assert 1 < trees.booster.num_trees() < MOST_TREES / 2  # by the loss as it is: all of them
