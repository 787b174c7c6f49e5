"""What an epoch of the item tower says of itself, and the references that it is held against."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from beauty_rec.measures.vectors import alignment, mean_cosine, neighbour_purity, uniformity
from beauty_rec.towers.items.attribute_space import attribute_vectors
from beauty_rec.towers.items.features import PAD, ItemFeatures
from beauty_rec.towers.items.model import ItemTower
from beauty_rec.towers.items.served import encode_items, tower_inputs, unit
from beauty_rec.towers.items.title_states import TitleReader
from beauty_rec.training.seeds import seeded

Figures = dict[str, float]


@dataclass(frozen=True)
class Looked:
    """The items that a report looks at.

    Attributes:
        features: of all items.
        rows: int64 ``[n]``, the items looked at; nothing in the features makes two of them alike.
        classes: int64 ``[n]``, their categories; -1 is unknown.
        hidden: the column of ``features.std`` that holds the category; None: none does. A tower
            that reads it needs to learn nothing to tell categories apart, so ``purity`` is that
            of the vectors with the category masked.
        seed: of the views.
    """

    features: ItemFeatures
    rows: NDArray[np.int64]
    classes: NDArray[np.int64]
    hidden: int | None
    seed: int

    def of_tower(self, tower: ItemTower, titles: TitleReader) -> Figures:
        """Return alignment, uniformity, purity without and with the category, and mean cosine."""
        shown = encode_items(tower, titles, self.features, self.rows)
        masked = shown
        if self.hidden is not None:
            masked = encode_items(tower, titles, self.features, self.rows, self.hidden)
        device = tower.embedding.weight.device
        with torch.inference_mode(), seeded(self.seed, device):
            views = tower.views(*tower_inputs(self.features, titles, self.rows, device))
            one, two = unit(tower(*views)).cpu().chunk(2)
        purity, chance = self._purity(masked)
        return {
            "alignment": float(alignment(one, two)),
            "uniformity": float(uniformity(shown)),
            "purity": purity,
            "purity_by_chance": chance,
            "purity_category_shown": self._purity(shown)[0],
            "mean_cosine": mean_cosine(shown.numpy()),
        }

    def of_attributes(self, space: NDArray[np.float32], share: float) -> Figures:
        """Return the same of the attribute space alone; a view hides ``share`` of the values."""
        re = self.features.re[self.rows]
        shown = torch.from_numpy(attribute_vectors(re, space))
        hidden = np.random.default_rng(self.seed).random(re.shape) < share
        one, two = (
            torch.from_numpy(attribute_vectors(np.where(part, PAD, re), space))
            for part in (hidden, ~hidden)
        )
        return self.of_vectors(shown) | {"alignment": float(alignment(one, two))}

    def of_vectors(self, vectors: torch.Tensor) -> Figures:
        """Return uniformity and purity of any vectors ``[n, D]`` of these items."""
        return {"uniformity": float(uniformity(vectors)), "purity": self._purity(vectors)[0]}

    def _purity(self, vectors: torch.Tensor) -> tuple[float, float]:
        return neighbour_purity(vectors, torch.from_numpy(self.classes))


def table_moved(
    start: torch.Tensor, end: torch.Tensor, used: NDArray[np.int64]
) -> Mapping[str, float]:
    """Return how far the rows ``used`` of the table moved: correlation, and the end's deviation."""
    before, after = (table[torch.from_numpy(used)].flatten().numpy() for table in (start, end))
    if len(before) < 2:
        return {"table_correlation": float("nan"), "table_std": float("nan")}
    return {
        "table_correlation": float(np.corrcoef(before, after)[0, 1]),
        "table_std": float(after.std()),
    }
