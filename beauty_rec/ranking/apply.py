"""A fitted reranker, applied to the candidates of events."""

from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.measures.metrics import auc, log_loss_of_logits
from beauty_rec.ranking.deepfm import DeepFM
from beauty_rec.ranking.examples import Examples
from beauty_rec.ranking.features.build import FeatureBuilder, Features
from beauty_rec.ranking.features.frames import (
    candidates_from,
    labels_of,
    queries_from,
    ranked_within,
)
from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.ranking.reranker import Reranker

TABLE = "items"
VOCABULARY = "vocabulary.json"
EVALUATION_ROWS = 32_768


def load_reranker(folder: Path) -> tuple[Reranker, FeatureBuilder]:
    """Return the reranker of :func:`fit_reranker` and the builder of its features."""
    reranker = Reranker.load(folder)
    table = ItemTable.load(folder / TABLE)
    return reranker, FeatureBuilder(reranker.spec, Vocabulary.load(folder / VOCABULARY), table)


def reorder(
    reranker: Reranker,
    builder: FeatureBuilder,
    events: pl.DataFrame,
    candidates: pl.DataFrame,
    profiles: pl.DataFrame,
) -> tuple[pl.DataFrame, dict[str, float], tuple[np.ndarray, np.ndarray]]:
    """Order the candidates of a split.

    Returns:
        The frame ``review_id, parent_asin, rank, probability``, all candidates of each event, best
        first; AUC and log loss over them; labels and probabilities for the calibration plot.
    """
    features, labels, rows = labelled_features(builder, events, candidates, profiles)
    probabilities = reranker.probabilities(features)
    order, ranks = ranked_within(features.user_row, probabilities)
    frame = candidates[np.asarray(rows)[order].tolist()].select("review_id", "parent_asin")
    ordered = frame.with_columns(
        rank=pl.Series(ranks.astype(np.int32)), probability=pl.Series(probabilities[order])
    )
    figures = quality(reranker, Examples.of(features, labels, reranker.spec))
    return ordered, figures, (labels, probabilities)


def labelled_features(
    builder: FeatureBuilder, events: pl.DataFrame, candidates: pl.DataFrame, profiles: pl.DataFrame
) -> tuple[Features, np.ndarray, list[int]]:
    """Return the features of the candidates, their labels, and the row each came from."""
    found, rows = candidates_from(candidates, events)
    features = builder.build(queries_from(events, profiles), found)
    return features, labels_of(found, events["parent_asin"].to_list()), rows


@torch.inference_mode()
def predict(model: DeepFM, examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the logits of the given rows of ``examples``, float32 [N], without dropout."""
    model.eval()
    parts = [
        model(examples.batch(rows[start : start + EVALUATION_ROWS])).numpy()
        for start in range(0, len(rows), EVALUATION_ROWS)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)


def quality(reranker: Reranker, examples: Examples) -> dict[str, float]:
    """Return auc, log_loss (nats) of the calibrated probabilities, and the share of positives."""
    slope, offset = reranker.calibration
    rows = np.arange(len(examples.labels))
    logits = slope * predict(reranker.model, examples, rows) + offset
    return {
        "auc": auc(examples.labels, logits),
        "log_loss": log_loss_of_logits(examples.labels, logits),
        "positives": float(examples.labels.mean()) if len(examples.labels) else 0.0,
    }
