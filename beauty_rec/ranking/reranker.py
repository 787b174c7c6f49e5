"""The trained reranker: model, features' statistics and calibration, saved as one folder.

``model.safetensors`` holds the weights, ``features.json`` the :class:`FeatureSpec` and
``reranker.json`` the rest.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.ranking.deepfm import Batch, DeepFM, Fields
from beauty_rec.ranking.features.build import Features
from beauty_rec.ranking.features.spec import FeatureSpec
from beauty_rec.settings import RankingSettings

FEATURES, MODEL = "features.json", "reranker.json"


@dataclass(frozen=True)
class Reranker:
    """``calibration`` is (a, b): a logit z means the probability 1 / (1 + exp(-(a z + b)))."""

    model: DeepFM
    spec: FeatureSpec
    rows: int
    settings: RankingSettings
    calibration: tuple[float, float]

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
            torch.from_numpy(self.spec.binned(features.raw)),
        )
        if self.model.training:
            self.model.eval()
        slope, offset = self.calibration
        return torch.sigmoid(slope * self.model(batch) + offset).numpy()

    def calibrated(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return them as they are."""
        return probabilities

    def grown(self, vocabulary: Vocabulary) -> "Reranker":
        """Return the same with rows for the ids that ``vocabulary`` has beyond its own."""
        self.model.grow(torch.from_numpy(vocabulary.stand_ins(self.rows)))
        spec = self.spec.model_copy(update={"vocabulary_version": vocabulary.version})
        return replace(self, spec=spec, rows=len(vocabulary))

    def save(self, folder: Path) -> None:
        """Write into ``folder``, made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.model.state_dict(), folder / "model.safetensors")
        self.spec.save(folder / FEATURES)
        document = {
            "rows": self.rows,
            "calibration": self.calibration,
            "settings": self.settings.model_dump(mode="json"),
        }
        write_text_atomic(folder / MODEL, json.dumps(document, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Reranker":
        """Read what :meth:`save` wrote."""
        document = json.loads((folder / MODEL).read_text(encoding="utf-8"))
        spec = FeatureSpec.load(folder / FEATURES)
        settings = RankingSettings.model_validate(document["settings"])
        model = DeepFM(document["rows"], fields_of(spec), settings)
        model.load_state_dict(load_file(folder / "model.safetensors"))
        slope, offset = document["calibration"]
        return cls(model.eval(), spec, document["rows"], settings, (slope, offset))


def fields_of(spec: FeatureSpec) -> Fields:
    """Return the layout of the model's input."""
    return Fields(
        tuple(spec.user_fields.values()),
        tuple(spec.item_fields.values()),
        len(spec.dense),
        spec.bin_rows,
    )
