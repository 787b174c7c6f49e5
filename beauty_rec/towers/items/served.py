"""A trained item tower, applied."""

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from beauty_rec.artifacts import Vectors
from beauty_rec.settings import ItemTowerSettings
from beauty_rec.towers.items.attribute_space import attribute_vectors, side_by_side
from beauty_rec.towers.items.features import ItemFeatures, TitleReader
from beauty_rec.towers.items.model import ItemTower

CHUNK = 1024


@torch.inference_mode()
def encode_items(
    tower: ItemTower, titles: TitleReader, features: ItemFeatures, rows: NDArray[np.int64]
) -> Tensor:
    """Return unit vectors float32 ``[len(rows), D]``; no dropout, no projection head."""
    tower.eval()
    titles.encoder.eval()
    parts = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    found = [unit(tower(*tower_inputs(features, titles, part))) for part in parts]
    return torch.cat([*found, torch.zeros(0, tower.settings.dimension)])


def item_vectors(tower: ItemTower, titles: TitleReader, features: ItemFeatures) -> Vectors:
    """Return the L2-normalised vectors ``[N, D + A]`` of all items, in their order.

    The learned part and that of the attribute space, side by side.
    """
    learned = encode_items(tower, titles, features, np.arange(len(features))).numpy()
    attributes = attribute_vectors(features.re, tower.space.numpy())
    return Vectors(features.ids, side_by_side(learned, attributes, tower.settings.attribute_share))


def load_item_tower(folder: Path) -> ItemTower:
    """Read the tower that :func:`train_item_tower` saved, in evaluation mode.

    ``embedding.weight`` ``[vocabulary, E]`` is what the reranker takes over.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings = ItemTowerSettings(**config["settings"])
    sizes = (config["vocabulary"], config["std_fields"], config["title_width"])
    # A tower that was trained before there was an attribute space answers without one.
    tower = ItemTower(*sizes, settings, config.get("attributes", 0))
    tower.load_state_dict({"space": tower.space} | load_file(folder / "model.safetensors"))
    return tower.eval()


def tower_inputs(
    features: ItemFeatures, titles: TitleReader, rows: NDArray[np.int64]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what the tower reads of the items ``rows``: STD, RE, title states and their mask."""
    title, mask = titles.read(torch.from_numpy(features.title[rows]))
    return torch.from_numpy(features.std[rows]), torch.from_numpy(features.re[rows]), title, mask


def unit(vectors: Tensor) -> Tensor:
    """Return the rows of ``[N, D]`` at length 1."""
    return torch.nn.functional.normalize(vectors, dim=1)
