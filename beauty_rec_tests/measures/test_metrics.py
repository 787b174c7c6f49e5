import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from beauty_rec.measures.metrics import (
    RECALL_CUTS,
    auc,
    coverage,
    intra_list_diversity,
    log_loss,
    log_loss_of_logits,
    ndcg_at,
    novelty,
    per_query,
    recall_at,
    reciprocal_rank,
)

NAMES = [*(f"recall@{k}" for k in RECALL_CUTS), "mrr@100", "ndcg@10", "ndcg@50"]
RANX = """
import json, sys
from ranx import Qrels, Run, evaluate
given = json.load(sys.stdin)
print(json.dumps(evaluate(Qrels(given["qrels"]), Run(given["run"]), given["names"])))
"""


def test_rank_metrics_agree_with_ranx():
    random = np.random.default_rng(2)
    queries, items = 40, 150
    scores = random.permuted(np.tile(np.arange(items, dtype=float), (queries, 1)), axis=1)
    answers = random.integers(0, items, size=queries)
    ranks = 1.0 + (scores > scores[np.arange(queries), answers][:, None]).sum(axis=1)
    given = {
        "qrels": {f"q{q}": {f"d{a}": 1} for q, a in enumerate(answers)},
        "run": {f"q{q}": {f"d{i}": s for i, s in enumerate(row)} for q, row in enumerate(scores)},
        "names": NAMES,
    }
    # A process of its own: ranx without its compiler, which takes a minute, answers at once.
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RANX],
        input=json.dumps(given),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    expected = json.loads(answer.stdout.splitlines()[-1])
    found = per_query(ranks)
    for name in NAMES:
        ours = found["mrr" if name == "mrr@100" else name].mean()
        assert ours == pytest.approx(expected[name], abs=1e-9), name


def test_cuts_are_inclusive_and_tied_ranks_may_be_halves():
    ranks = np.array([1.0, 10.0, 10.5, 100.0, 100.5])
    assert recall_at(ranks, 10).tolist() == [1, 1, 0, 0, 0]
    np.testing.assert_allclose(reciprocal_rank(ranks), [1, 0.1, 1 / 10.5, 0.01, 0])
    np.testing.assert_allclose(ndcg_at(ranks), [1, 1 / math.log2(11), 0, 0, 0])


def test_auc_and_log_loss_agree_with_sklearn():
    random = np.random.default_rng(3)
    labels = random.integers(0, 2, size=500)
    probabilities = np.round(random.random(500), 1)  # many ties, exact 0 and 1
    assert auc(labels, probabilities) == pytest.approx(roc_auc_score(labels, probabilities))
    inside = np.clip(probabilities, 0.05, 0.95)
    assert log_loss(labels, inside) == pytest.approx(sklearn_log_loss(labels, inside))
    assert math.isfinite(log_loss([1, 0], [0.0, 1.0]))


def test_one_class_has_no_auc_and_probabilities_are_checked():
    assert math.isnan(auc([1, 1], [0.2, 0.3]))
    assert math.isnan(log_loss([], []))
    with pytest.raises(ValueError, match="between 0 and 1"):
        log_loss([1], [1.2])
    with pytest.raises(ValueError, match="between 0 and 1"):
        log_loss([1], [math.nan])


def test_coverage_and_novelty_by_hand():
    lists = np.array([[0, 1, -1], [1, 2, -1]])
    assert coverage(lists, 6) == 0.5
    counts = np.array([5, 0, 1, 0, 0, 0])  # +1: 6, 1, 2, 1, 1, 1 of 12
    expected = np.mean([math.log2(12 / 6), math.log2(12), math.log2(12), math.log2(12 / 2)])
    assert novelty(lists, counts) == pytest.approx(expected)
    assert math.isnan(novelty(np.full((1, 2), -1), counts))


def test_diversity_equals_a_loop_over_pairs():
    random = np.random.default_rng(4)
    vectors = random.normal(size=(30, 5)).astype(np.float32)
    vectors[7] = 0
    lists = np.array([[0, 3, 7, 9], [1, 2, -1, -1], [5, -1, -1, -1]])
    expected = []
    for row in lists[:2]:
        shown = [vectors[i].astype(float) for i in row if i >= 0]
        pairs = []
        for i in range(len(shown)):
            for j in range(i):
                length = np.linalg.norm(shown[i]) * np.linalg.norm(shown[j])
                pairs.append(1 - (shown[i] @ shown[j] / length if length else 0))
        expected.append(np.mean(pairs))
    assert intra_list_diversity(lists, vectors) == pytest.approx(np.mean(expected), abs=1e-6)
    assert math.isnan(intra_list_diversity(lists[2:], vectors))


def test_log_loss_of_logits_is_that_of_their_probabilities_and_stays_finite():
    random = np.random.default_rng(1)
    logits = random.normal(size=400)
    labels = (random.random(400) < 0.4).astype(np.float64)
    assert log_loss_of_logits(labels, logits) == pytest.approx(
        log_loss(labels, 1 / (1 + np.exp(-logits)))
    )
    assert log_loss_of_logits([0.0], [1e4]) == pytest.approx(1e4)
    assert math.isnan(log_loss_of_logits([], []))


def test_auc_counts_pairs_and_half_of_the_ties():
    random = np.random.default_rng(0)
    scores, labels = np.round(random.normal(size=200), 1), random.random(200) < 0.4
    wins = sum((p > q) + 0.5 * (p == q) for p in scores[labels] for q in scores[~labels])
    assert auc(labels, scores) == pytest.approx(wins / (labels.sum() * (~labels).sum()))
    assert math.isnan(auc(np.ones(3), scores[:3]))
