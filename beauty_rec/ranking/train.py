"""Training the reranker: a recipe, top to bottom.

Data: candidates of train events that the retrievers making them had not seen (out of fold in
time), labelled by whether the candidate is the event's item; queries without their item among the
candidates are left out. Loss: binary cross entropy. After each epoch the log loss of the valid
queries with an answer decides, calibrated first: sampled negatives move the share of positives and
not what is to be learned. The best epoch's weights are kept and calibrated on all of valid.

A shop whose valid events are all repeat purchases asks nothing in valid: then the last tenth of the
train queries is held back for both.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm import tqdm

from beauty_rec.measures.metrics import auc, log_loss_of_logits
from beauty_rec.ranking.apply import predict
from beauty_rec.ranking.calibration import fit_platt
from beauty_rec.ranking.curves import ndcg_of_lists
from beauty_rec.ranking.deepfm import DeepFM
from beauty_rec.ranking.draws import answered_rows, judging_rows, shuffled_batches
from beauty_rec.ranking.examples import Examples
from beauty_rec.ranking.features.spec import FeatureSpec
from beauty_rec.ranking.reranker import Reranker, fields_of
from beauty_rec.settings import RankingSettings
from beauty_rec.training.checkpoints import (
    fingerprint_of,
    load_checkpoint,
    save_checkpoint,
    weights_of,
)
from beauty_rec.training.seeds import epoch_seed, seeded


@dataclass(frozen=True)
class Trained:
    """The reranker of the best epoch, one row of figures per epoch, and what chose the epoch."""

    reranker: Reranker
    history: list[dict[str, float]]
    judged_by: str = "valid"


def train_reranker(
    train: Examples,
    valid: Examples,
    spec: FeatureSpec,
    rows: int,
    settings: RankingSettings,
    embeddings: NDArray[np.float32] | None = None,
    checkpoints: Path | None = None,
    device: str = "cpu",
) -> Trained:
    """Return the DeepFM with the lowest calibrated log loss on ``valid``.

    Args:
        train: out-of-fold candidates; queries without their answer among them are left out.
        valid: candidates of valid events, all of them; may be empty, see the module.
        spec: fitted on the train features.
        rows: of the embedding table, ``len(vocabulary)``.
        settings: with ``transfer`` off, ``embeddings`` is not looked at (the ablation).
        embeddings: what the item tower knows of the ids, float32 [rows, K].
        checkpoints: folder of the last epoch's state, from which a killed training goes on and
            gives what it would have given in one go; a state of other data or settings is left
            aside.
        device: that the model is trained on, in float32: its products are small, and of bfloat16
            it learns other weights. What is drawn is drawn on the CPU, where the trained model is
            calibrated and stays.

    Raises:
        ValueError: no train query has its answer among the candidates.
    """
    chosen = answered_rows(train.labels, train.features.user_row)
    if not len(chosen):
        raise ValueError("no train query has its answer among its candidates: nothing to learn")
    judged_by, calibrated = "valid", np.arange(len(valid.labels))
    judged = judging_rows(valid.labels, valid.features.user_row)
    if not len(calibrated):
        judged_by, valid = "the last tenth of train: valid asks nothing", train
        chosen, judged = _last_tenth(chosen, train.features.user_row)
        calibrated = judged

    with seeded(settings.seed):
        model = DeepFM(rows, fields_of(spec), settings)
        if settings.transfer and embeddings is not None:
            model.transfer(torch.from_numpy(np.array(embeddings)), settings.embedding_std)
    _silence(model, train, chosen)
    # Few candidates are chosen: start at their share, or epochs go by in finding it.
    share = float(train.labels[chosen].mean())
    torch.nn.init.constant_(model.linear.bias, math.log(share / (1 - share + 1e-9)))
    model.to(device)
    optimizer = torch.optim.AdamW(
        _groups(model, settings),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    fingerprint = ""
    history: list[dict[str, float]] = []
    best = weights_of(model)
    if checkpoints is not None:
        fingerprint = _fingerprint(train, valid, spec, rows, settings, embeddings)
        kept = load_checkpoint(checkpoints, model, optimizer, fingerprint)
        if kept is not None:
            history, best = kept.state["history"], kept.best or best

    while len(history) < settings.epochs and _since_best(history) < settings.patience:
        loss, steps = _train_epoch(model, optimizer, train, chosen, settings, len(history))
        logits, labels = predict(model, valid, judged), valid.labels[judged]
        slope, offset = fit_platt(logits, labels)
        figures = {
            "steps": steps + (history[-1]["steps"] if history else 0),
            "train_log_loss": loss,
            "valid_log_loss": log_loss_of_logits(labels, slope * logits + offset),
            "valid_auc": auc(labels, logits),
            "valid_ndcg@10": ndcg_of_lists(labels, logits, valid.features.user_row[judged]),
        }
        history.append(figures)
        if _since_best(history) == 0:
            best = weights_of(model)
        if checkpoints is not None:
            step, state = len(history), {"history": history}
            save_checkpoint(checkpoints, step, model, optimizer, fingerprint, state, best)
    model.load_state_dict(best)
    model.to("cpu").fold()
    whole = predict(model, valid, calibrated)
    calibration = fit_platt(whole, valid.labels[calibrated])
    return Trained(Reranker(model, spec, rows, settings, calibration), history, judged_by)


def _last_tenth(
    rows: NDArray[np.int64], query_row: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the first queries and of the last tenth; all twice for a lone query."""
    queries = np.unique(query_row[rows])
    is_late = query_row[rows] >= queries[-max(1, len(queries) // 10)]
    return (rows, rows) if is_late.all() else (rows[~is_late], rows[is_late])


def _train_epoch(
    model: DeepFM,
    optimizer: torch.optim.Optimizer,
    train: Examples,
    chosen: NDArray[np.int64],
    settings: RankingSettings,
    epoch: int,
) -> tuple[float, int]:
    """Pass once over the rows ``chosen``; return the mean loss and the steps taken.

    Chance is (seed, epoch) alone.
    """
    for group in optimizer.param_groups:
        frozen = group["frozen_first"] and epoch < settings.transfer_frozen_epochs
        group["lr"] = 0.0 if frozen else group["rate"]
    order = np.random.default_rng((settings.seed, epoch))
    batches = list(shuffled_batches(chosen, train.features.user_row, settings.batch_size, order))
    device, total = model.table.device, 0.0
    model.train()
    with seeded(epoch_seed(settings.seed, epoch), device):
        for rows in tqdm(batches, f"reranker epoch {epoch + 1}", disable=None):
            batch, targets = train.batch(rows).to(device), train.targets(rows).to(device)
            loss = binary_cross_entropy_with_logits(model(batch), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
    return total / len(chosen), len(batches)


@torch.no_grad()
def _silence(model: DeepFM, train: Examples, chosen: NDArray[np.int64]) -> None:
    """Let ids that no chosen example has start, and so stay, at zero: nothing speaks of them.

    What was transferred of them, the item tower says: that is left.
    """
    features = train.features
    queries, items = np.unique(features.user_row[chosen]), np.unique(features.item_row[chosen])
    met = np.unique(
        np.concatenate([features.user_ids[queries].ravel(), features.item_ids[items].ravel()])
    )
    model.table[torch.from_numpy(np.setdiff1d(np.arange(len(model.table)), met))] = 0.0


def _groups(model: DeepFM, settings: RankingSettings) -> list[dict[str, Any]]:
    """Return the parameters with their rates: what was transferred is slower, its rows frozen."""
    rate, slower = settings.learning_rate, settings.learning_rate * settings.transfer_rate
    rows = [] if model.source is None else [model.source]
    projection = [] if model.project is None else [model.project]
    own = [p for p in model.parameters() if all(p is not other for other in (*rows, *projection))]
    groups = [(own, rate, False), (projection, slower, False), (rows, slower, True)]
    return [
        {"params": params, "rate": rate, "frozen_first": first}
        for params, rate, first in groups
        if params
    ]


def _fingerprint(
    train: Examples,
    valid: Examples,
    spec: FeatureSpec,
    rows: int,
    settings: RankingSettings,
    embeddings: NDArray[np.float32] | None,
) -> str:
    """Return what a checkpoint must match to be resumed: data, features and settings.

    How long to train is no part of it: a longer training goes on from a shorter one.
    """
    taken_over = embeddings is not None and settings.transfer
    arrays: list[NDArray[Any]] = [np.asarray(embeddings)] if taken_over else []
    for examples in (train, valid):
        features = examples.features
        arrays += [features.user_ids, features.item_ids, features.user_row, features.item_row]
        arrays += [features.raw, examples.labels]
    recipe = settings.model_dump(mode="json", exclude={"epochs", "patience"})
    layout = spec.model_dump(mode="json")
    return fingerprint_of({"settings": recipe, "spec": layout, "rows": rows}, *arrays)


def _since_best(history: list[dict[str, Any]]) -> int:
    """Return how many epochs ago the lowest valid log loss was; 0 before the first epoch."""
    losses = [figures["valid_log_loss"] for figures in history]
    return len(losses) - 1 - losses.index(min(losses)) if losses else 0
