"""A trained item tower, applied."""

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from beauty_rec.artifacts import Vectors
from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.settings import ItemTowerSettings
from beauty_rec.towers.items.attribute_space import attribute_vectors, side_by_side
from beauty_rec.towers.items.features import MASK, PAD, ItemFeatures
from beauty_rec.towers.items.model import ItemTower
from beauty_rec.towers.items.title_states import TitleReader

CHUNK = 1024
VOCABULARY = "vocabulary.json"
"""The ids that a tower was trained with, in its folder."""
CPU = torch.device("cpu")


@torch.inference_mode()
def encode_items(
    tower: ItemTower,
    titles: TitleReader,
    features: ItemFeatures,
    rows: NDArray[np.int64],
    hidden: int | None = None,
) -> Tensor:
    """Return unit vectors float32 ``[len(rows), D]`` on the CPU; no dropout, no projection head.

    Args:
        tower, titles, features: what encodes, and what is encoded.
        rows: of the items.
        hidden: column of ``features.std`` to be masked; None: all are shown.
    """
    tower.eval()
    titles.encoder.eval()
    device = tower.embedding.weight.device
    found = [torch.zeros(0, tower.settings.dimension)]
    for start in range(0, len(rows), CHUNK):
        std, *rest = tower_inputs(features, titles, rows[start : start + CHUNK], device)
        if hidden is not None:
            std = std.clone()
            std[:, hidden] = MASK
        found.append(unit(tower(std, *rest)).cpu())
    return torch.cat(found)


def item_vectors(tower: ItemTower, titles: TitleReader, features: ItemFeatures) -> Vectors:
    """Return the L2-normalised vectors ``[N, D + A]`` of all items, in their order.

    The learned part and that of the attribute space, side by side.
    """
    learned = encode_items(tower, titles, features, np.arange(len(features))).numpy()
    attributes = attribute_vectors(features.re, tower.space.cpu().numpy())
    return Vectors(features.ids, side_by_side(learned, attributes, share_of(tower)))


def share_of(tower: ItemTower) -> float:
    """Return the share of the attribute space in the inner product of two served vectors.

    Raises:
        ValueError: there is such a space, and the share has not been chosen.
    """
    share = tower.settings.attribute_share
    if share is None and tower.space.shape[1]:
        raise ValueError("the tower's attribute_share has not been chosen yet")
    return share or 0.0


def load_item_tower(folder: Path) -> ItemTower:
    """Read the tower that :func:`train_item_tower` saved, in evaluation mode.

    :func:`value_rows` is what the reranker takes over.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings = ItemTowerSettings(**config["settings"])
    sizes = (config["vocabulary"], config["std_fields"], config["title_width"])
    # A tower that was trained before there was an attribute space answers without one.
    tower = ItemTower(*sizes, settings, config.get("attributes", 0))
    tower.load_state_dict({"space": tower.space} | load_file(folder / "model.safetensors"))
    return tower.eval()


def items_alike(folder: Path) -> bool:
    """Tell whether what a tower read of its items was hardly other than a collapse leaves them."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return bool(config.get("items_alike", False))


def todays_item_tower(folder: Path, vocabulary: Vocabulary) -> tuple[ItemTower, Vocabulary]:
    """Read a tower for the ids of today, and the vocabulary that it is to be asked with.

    Ids that came since its training get rows; the others keep theirs. Where ``vocabulary`` does not
    carry the tower's own on, that one is returned, and the tower as it was trained.
    """
    tower, own = load_item_tower(folder), Vocabulary.load(folder / VOCABULARY)
    known = own.carried_on(vocabulary)
    tower.grow(torch.from_numpy(known.stand_ins(len(own))))
    return tower, known


def value_rows(tower: ItemTower) -> NDArray[np.float32]:
    """Return what the tower knows of each id, float32 ``[vocabulary, E + A]``.

    Its learned embedding beside its place in the attribute space, both at one scale; zeros of an
    id that neither knows.
    """
    scaled = []
    for kind in (tower.embedding.weight.detach().numpy(), tower.space.numpy()):
        known = kind[kind.any(axis=1)]
        scaled.append(kind / np.sqrt(np.square(known).mean()) if known.size else kind)
    return np.concatenate(scaled, axis=1).astype(np.float32)


def tower_inputs(
    features: ItemFeatures,
    titles: TitleReader,
    rows: NDArray[np.int64],
    device: torch.device = CPU,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what the tower reads of the items ``rows``: STD, RE, title states and their mask.

    All are on ``device``. Columns that all of these items leave empty are cut.
    """
    title, mask = titles.read(torch.from_numpy(features.title[rows]))
    re, tokens = features.re[rows], mask.any(dim=0)
    return (
        torch.from_numpy(features.std[rows]).to(device),
        torch.from_numpy(re[:, (re != PAD).any(axis=0)]).to(device),
        title[:, tokens].to(device),
        mask[:, tokens].to(device),
    )


def unit(vectors: Tensor) -> Tensor:
    """Return the rows of ``[N, D]`` at length 1."""
    return torch.nn.functional.normalize(vectors, dim=1)
