"""A fitted reranker, applied to candidates."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.ranking.deepfm import DeepFM
from beauty_rec.ranking.examples import Examples
from beauty_rec.ranking.features.build import FeatureBuilder
from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.ranking.features.spec import FeatureSpec
from beauty_rec.ranking.gbdt import Gbdt, unavailable
from beauty_rec.ranking.ranker import Ranker
from beauty_rec.ranking.reranker import FEATURES, MODEL, Reranker

TABLE = "items"
VOCABULARY = "vocabulary.json"
GBDT = "gbdt.txt"
EVALUATION_ROWS = 32_768


def load_rankers(
    folder: Path, vocabulary: Vocabulary | None = None
) -> tuple[dict[str, Ranker], FeatureBuilder]:
    """Return the models of :func:`~beauty_rec.ranking.fit.fit_rankers` and their features' builder.

    The models are named ``reranked`` (DeepFM) and, where it was trained, ``gbdt``; there is none
    where there was nothing to learn from.

    Args:
        folder: of the reranker.
        vocabulary: of today; ids that came since the training get rows. None, or one that does not
            carry the reranker's own on: that one.

    Raises:
        ValueError: the vocabulary in the folder is not the one that the reranker was trained with.
    """
    spec, known = FeatureSpec.load(folder / FEATURES), Vocabulary.load(folder / VOCABULARY)
    reranker = Reranker.load(folder) if (folder / MODEL).exists() else None
    rows = len(known) if reranker is None else reranker.rows
    if (known.version, len(known)) != (spec.vocabulary_version, rows):
        raise ValueError(f"{folder} has another vocabulary than its reranker was trained with")
    if vocabulary is not None:
        known = known.carried_on(vocabulary)
        spec = spec.model_copy(update={"vocabulary_version": known.version})
        reranker = reranker and reranker.grown(known)
    models: dict[str, Ranker] = {} if reranker is None else {"reranked": reranker}
    if (folder / GBDT).exists() and unavailable() is None:
        models["gbdt"] = Gbdt.load(folder / GBDT)
    table = ItemTable.load(folder / TABLE)
    return models, FeatureBuilder(spec, known, table)


@torch.inference_mode()
def predict(model: DeepFM, examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the logits of the given rows of ``examples``, float32 [N], without dropout."""
    device = model.table.device
    model.eval()
    parts = [
        model(examples.batch(rows[start : start + EVALUATION_ROWS]).to(device)).cpu().numpy()
        for start in range(0, len(rows), EVALUATION_ROWS)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)
