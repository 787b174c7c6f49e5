"""The trained reranker: model, features' statistics and calibration, saved as one folder.

``model.safetensors`` holds the weights, ``features.json`` the :class:`FeatureSpec` and
``reranker.json`` the rest.
"""

import json
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.ranking.deepfm import Batch, DeepFM, Fields
from beauty_rec.ranking.features.build import Candidates, FeatureBuilder, Features, Query
from beauty_rec.ranking.features.frames import top_k
from beauty_rec.ranking.features.spec import FeatureSpec
from beauty_rec.settings import RankingSettings


@dataclass(frozen=True)
class Reranker:
    """``calibration`` is (a, b): a logit z means the probability 1 / (1 + exp(-(a z + b)))."""

    model: DeepFM
    spec: FeatureSpec
    rows: int
    settings: RankingSettings
    calibration: tuple[float, float]

    def copy(self) -> "Reranker":
        """Return one that further training of ``model`` does not change."""
        return Reranker(deepcopy(self.model), self.spec, self.rows, self.settings, self.calibration)

    @torch.inference_mode()
    def probabilities(self, features: Features) -> NDArray[np.float32]:
        """Return the calibrated probability that each candidate is chosen, float32 [N]."""
        if not len(features.raw):
            return np.empty(0, np.float32)
        items, item_row = np.unique(features.item_row, return_inverse=True)
        batch = Batch(
            torch.from_numpy(features.user_ids),
            torch.from_numpy(features.item_ids[items]),
            torch.from_numpy(features.user_row),
            torch.from_numpy(item_row),
            torch.from_numpy(self.spec.standardise(features.raw)),
        )
        if self.model.training:
            self.model.eval()
        slope, offset = self.calibration
        return torch.sigmoid(slope * self.model(batch) + offset).numpy()

    def save(self, folder: Path) -> None:
        """Write into ``folder``, made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.model.state_dict(), folder / "model.safetensors")
        self.spec.save(folder / "features.json")
        told = {
            "rows": self.rows,
            "calibration": self.calibration,
            "settings": self.settings.model_dump(mode="json"),
        }
        write_text_atomic(folder / "reranker.json", json.dumps(told, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Reranker":
        """Read what :meth:`save` wrote."""
        told = json.loads((folder / "reranker.json").read_text(encoding="utf-8"))
        spec = FeatureSpec.load(folder / "features.json")
        settings = RankingSettings.model_validate(told["settings"])
        model = DeepFM(told["rows"], fields_of(spec), settings)
        model.load_state_dict(load_file(folder / "model.safetensors"))
        slope, offset = told["calibration"]
        return cls(model.eval(), spec, told["rows"], settings, (slope, offset))


def fields_of(spec: FeatureSpec) -> Fields:
    """Return the layout of the model's input."""
    return Fields(
        tuple(spec.user_fields.values()), tuple(spec.item_fields.values()), len(spec.dense)
    )


def rerank(
    reranker: Reranker,
    builder: FeatureBuilder,
    queries: list[Query],
    candidates: Candidates,
    k: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return (rows into ``candidates``, ranks from 1, probabilities) of each query's k best.

    Queries follow each other; one with fewer than k candidates gives what it has.
    """
    scores = reranker.probabilities(builder.build(queries, candidates))
    rows, ranks = top_k(scores, candidates.query_row, k)
    return rows, ranks, scores[rows]
