"""Learning to order candidates: the DeepFM and the trees, from out-of-fold parts of train."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beauty_rec.ranking.apply import GBDT, TABLE, VOCABULARY
from beauty_rec.ranking.draws import judging_rows, training_rows
from beauty_rec.ranking.examples import Examples
from beauty_rec.ranking.features.build import (
    Candidates,
    FeatureBuilder,
    Features,
    Query,
    join_features,
)
from beauty_rec.ranking.features.knowledge import ItemKnowledge
from beauty_rec.ranking.gbdt import train_gbdt, unavailable
from beauty_rec.ranking.reranker import FEATURES
from beauty_rec.ranking.train import train_reranker
from beauty_rec.ranking.transfer import try_transfer

UNLEARNED: Mapping[str, Any] = {
    "epochs": [],
    "best": {},
    "judged_by": "valid",
    "examples": 0,
    "positives": 0,
    "trees": 0,
    "note": "no ask of train has its answer among its candidates: no order is learned",
    "transfer": None,
}
"""The log where there is nothing to learn from."""


@dataclass(frozen=True)
class Asked:
    """Candidates of some events with what became of them: what a learned order learns from.

    Attributes:
        until_ms: what is known of the items is what was before (Unix ms); None: all of train.
        labels: float32 ``[N]``, 1 for the answer.
    """

    until_ms: int | None
    queries: Sequence[Query]
    candidates: Candidates
    labels: NDArray[np.float32]


def fit_rankers(
    knowledge: ItemKnowledge,
    folds: Iterable[Asked],
    valid: Asked,
    embeddings: np.ndarray,
    target: Path,
    checkpoints: Path | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Train the DeepFM and the trees, write both with the item table into ``target``.

    Args:
        knowledge: what features are made from.
        folds: the out-of-fold parts of train.
        valid: what early stopping and the calibration look at.
        embeddings: what the item tower knows of the ids, float32 ``[rows, K]``.
        target: new folder.
        checkpoints: folder of the state after the last epoch, from which a killed training goes
            on; emptied at the end.
        device: that the DeepFM is trained on.

    Where no ask of train has its answer among its candidates, as in a very small shop, nothing is
    trained: the item table alone is written, with the features' statistics of valid.

    Returns:
        ``epochs``: one row of figures each; ``best``: that of the kept one; ``transfer``: short
        trainings with and without transfer, where ``settings.ablation`` asks for them: the better
        kind on valid is what was trained; ``judged_by``: what chose it; ``examples``,
        ``positives`` of train; ``trees``; ``note``: why there are none, or no model at all.
    """
    settings, vocabulary, spec = knowledge.settings, knowledge.vocabulary, knowledge.spec
    features: list[Features] = []
    labels = []
    draw = np.random.default_rng(settings.seed)
    for fold in folds:
        builder = FeatureBuilder(spec, vocabulary, knowledge.table(fold.until_ms))
        rows = training_rows(fold.labels, fold.candidates.query_row, settings.negatives, draw)
        features.append(builder.build(fold.queries, fold.candidates.take(rows)))
        labels.append(fold.labels[rows])
    table = knowledge.table(valid.until_ms)
    held_out = FeatureBuilder(spec, vocabulary, table).build(valid.queries, valid.candidates)
    target.mkdir(parents=True, exist_ok=True)
    table.save(target / TABLE)
    vocabulary.save(target / VOCABULARY)
    if not any(map(len, labels)):
        spec.fitted(held_out.raw).save(target / FEATURES)
        return dict(UNLEARNED)
    joined, chosen = join_features(features), np.concatenate(labels)
    features.clear()
    spec = spec.fitted(joined.raw)
    train = Examples(joined, chosen, spec)
    judged = Examples(held_out, valid.labels, spec)
    size = len(vocabulary)
    trial, served = None, settings
    if settings.transfer and settings.ablation and settings.trial_epochs:
        trial = try_transfer(train, judged, spec, size, settings, embeddings, checkpoints, device)
        served = settings.model_copy(update={"transfer": trial.helps})
    trained = train_reranker(train, judged, spec, size, served, embeddings, checkpoints, device)
    trained.reranker.save(target)
    log = {
        "epochs": trained.history,
        "best": _best(trained.history),
        "judged_by": trained.judged_by,
        "examples": len(train.labels),
        "positives": int(train.labels.sum()),
        "trees": 0,
        "note": unavailable() if settings.gbdt else None,
        "transfer": trial,
    }
    if settings.gbdt and len(valid.labels) and log["note"] is None:
        stopped_by = judging_rows(valid.labels, held_out.user_row)
        held = (held_out.raw, valid.labels)
        trees = train_gbdt((joined.raw, chosen), held, stopped_by, settings.seed)
        trees.save(target / GBDT)
        log["trees"] = trees.booster.num_trees()
    if checkpoints is not None:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return log


def _best(history: list[dict[str, float]]) -> dict[str, float]:
    """Return the figures of the epoch whose weights were kept."""
    return min(history, key=lambda figures: figures["valid_log_loss"], default={})
