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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm import tqdm

from beauty_rec.ranking.apply import predict
from beauty_rec.ranking.calibration import auc, fit_platt, log_loss
from beauty_rec.ranking.checkpoints import load_checkpoint, save_checkpoint
from beauty_rec.ranking.deepfm import DeepFM
from beauty_rec.ranking.draws import answered_rows, shuffled_batches
from beauty_rec.ranking.examples import Examples
from beauty_rec.ranking.features.spec import FeatureSpec
from beauty_rec.ranking.reranker import Reranker, fields_of
from beauty_rec.settings import RankingSettings


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
    checkpoint: Path | None = None,
) -> Trained:
    """Return the DeepFM with the lowest calibrated log loss on ``valid``.

    Args:
        train: out-of-fold candidates; queries without their answer among them are left out.
        valid: candidates of valid events, all of them; may be empty, see the module.
        spec: fitted on the train features.
        rows: of the embedding table, ``len(vocabulary)``.
        settings: with ``transfer`` off, ``embeddings`` is not looked at (the ablation).
        embeddings: of the item tower, float32 [rows, K].
        checkpoint: a folder kept up to date after each epoch; if it holds a state of the same
            settings, training goes on from there and gives what it would have given in one go.

    Raises:
        ValueError: no train query has its answer among the candidates, or the checkpoint is of
            other settings.
    """
    chosen = answered_rows(train.labels, train.features.user_row)
    if not len(chosen):
        raise ValueError("no train query has its answer among its candidates: nothing to learn")
    judged_by, calibrated = "valid", np.arange(len(valid.labels))
    judged = answered_rows(valid.labels, valid.features.user_row)
    if not len(calibrated):
        judged_by, valid = "the last tenth of train: valid asks nothing", train
        chosen, judged = _last_tenth(chosen, train.features.user_row)
        calibrated = judged
    elif not len(judged):
        judged = calibrated

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = DeepFM(rows, fields_of(spec), settings)
        if settings.transfer and embeddings is not None:
            model.transfer(torch.from_numpy(np.array(embeddings)), settings.embedding_std)
        # Few candidates are chosen: start at their share, or epochs go by in finding it.
        share = float(train.labels[chosen].mean())
        torch.nn.init.constant_(model.linear.bias, math.log(share / (1 - share + 1e-9)))
        optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        best = Reranker(model, spec, rows, settings, (1.0, 0.0)).copy()
        history: list[dict[str, float]] = []
        if checkpoint is not None and checkpoint.exists():
            best, history = load_checkpoint(checkpoint, model, optimizer, best)

        while len(history) < settings.epochs and _since_best(history) < settings.patience:
            epoch = len(history)
            # Every epoch seeds itself, so that a resumed run draws what an unbroken one draws.
            torch.manual_seed(settings.seed * 100_003 + epoch)
            order = np.random.default_rng((settings.seed, epoch))
            batches = list(
                shuffled_batches(chosen, train.features.user_row, settings.batch_size, order)
            )
            model.train()
            loss_sum = 0.0
            for batch_rows in tqdm(batches, f"reranker epoch {epoch + 1}", disable=None):
                loss = binary_cross_entropy_with_logits(
                    model(train.batch(batch_rows)), train.targets(batch_rows)
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                loss_sum += loss.item() * len(batch_rows)

            logits, labels = predict(model, valid, judged), valid.labels[judged]
            slope, offset = fit_platt(logits, labels)
            figures = {
                "train_log_loss": loss_sum / len(chosen),
                "valid_log_loss": log_loss(slope * logits + offset, labels),
                "valid_auc": auc(logits, labels),
            }
            history.append(figures)
            if _since_best(history) == 0:
                best = Reranker(model, spec, rows, settings, (slope, offset)).copy()
            if checkpoint is not None:
                save_checkpoint(checkpoint, model, optimizer, best, history)
    whole = predict(best.model, valid, calibrated)
    calibration = fit_platt(whole, valid.labels[calibrated])
    return Trained(replace(best, calibration=calibration), history, judged_by)


def _last_tenth(
    rows: NDArray[np.int64], query_row: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the first queries and of the last tenth; all twice for a lone query."""
    queries = np.unique(query_row[rows])
    is_late = query_row[rows] >= queries[-max(1, len(queries) // 10)]
    return (rows, rows) if is_late.all() else (rows[~is_late], rows[is_late])


def _since_best(history: list[dict[str, Any]]) -> int:
    """Return how many epochs ago the lowest valid log loss was; 0 before the first epoch."""
    losses = [figures["valid_log_loss"] for figures in history]
    return len(losses) - 1 - losses.index(min(losses)) if losses else 0
