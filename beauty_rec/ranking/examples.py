"""Training data of the reranker: labelled candidates, cut into batches of whole queries."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from beauty_rec.ranking.deepfm import Batch
from beauty_rec.ranking.features.build import Features
from beauty_rec.ranking.features.spec import FeatureSpec


@dataclass(frozen=True)
class Examples:
    """Features with labels float32 [N]; ``spec`` scales and bins them batch by batch."""

    features: Features
    labels: NDArray[np.float32]
    spec: FeatureSpec

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """Return the candidates ``rows``, each of their queries and items once."""
        users, user_row = np.unique(self.features.user_row[rows], return_inverse=True)
        items, item_row = np.unique(self.features.item_row[rows], return_inverse=True)
        return Batch(
            torch.from_numpy(self.features.user_ids[users]),
            torch.from_numpy(self.features.item_ids[items]),
            torch.from_numpy(user_row),
            torch.from_numpy(item_row),
            torch.from_numpy(self.spec.standardise(self.features.raw[rows])),
            torch.from_numpy(self.spec.binned(self.features.raw[rows])),
        )

    def targets(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Return the labels of ``rows``, float32."""
        return torch.from_numpy(self.labels[rows])
