"""A trained user tower with everything it answers with, as it stands on disk."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from beauty_rec.artifacts import Vectors, atomic_path
from beauty_rec.events.arrays import Events
from beauty_rec.settings import UserTowerSettings
from beauty_rec.towers.users.inputs import Knowledge, Requests
from beauty_rec.towers.users.item_matrix import ItemMatrix, aligned
from beauty_rec.towers.users.model import UserTower, UserTowerShape
from beauty_rec.towers.users.profiles import ProfileEncoder, align
from beauty_rec.towers.users.statistics import StatisticsSpec

FORMAT = 4
CHUNK = 512
"""Requests per forward pass: bounds the memory of long histories."""


@dataclass
class ServedUserTower:
    """The tower, the item matrix of the day, and what requests are encoded with.

    Attributes:
        tower: in evaluation mode.
        items: what the index holds. It is no part of what :meth:`save` writes: see
            :func:`~beauty_rec.towers.users.current_items.current_items`.
        profiles: encoder of the profiles.
        statistics: the columns of the item matrix.
        text_weight: of cos(context, item text); 0 when the matrix has no text block.
        past_weight: of the cosine with the mean of the history's tower vectors.
        past_text_weight: the same with its text vectors.
        newcomer_weight: of an item's popularity, for who has no history.
    """

    tower: UserTower
    items: ItemMatrix
    profiles: ProfileEncoder
    statistics: StatisticsSpec
    text_weight: float = 0.0
    past_weight: float = 0.0
    past_text_weight: float = 0.0
    newcomer_weight: float = 0.0

    @property
    def as_of_ms(self) -> int:
        """The moment (Unix ms) at which the items' statistics were taken."""
        return self.items.as_of_ms

    @property
    def popular_half_life_days(self) -> float:
        """Of the popularity column that ranks best by itself on valid."""
        return self.statistics.half_lives_days[self.tower.shape.popularity]

    def knowledge(
        self, events: Events, context_vectors: Vectors, profiles: pl.DataFrame
    ) -> Knowledge:
        """Return what :meth:`Knowledge.requests` needs to ask for any of ``events``."""
        return make_knowledge(
            events, context_vectors, profiles, self.profiles, self.tower.settings.max_history
        )

    def user_vectors(
        self, requests: Requests, without: tuple[bool, bool, bool] = (False, False, False)
    ) -> NDArray[np.float32]:
        """Return float32 ``[B, D + E + T]``; the inner product with an item's row is its score.

        Where no history, context or profile is known, the vector asks for popular items.

        Args:
            requests: ``B`` of them.
            without: branches (behaviour, context, profile) to be taken as empty: ablations.
        """
        shape = self.tower.shape
        drop = torch.tensor(without).expand(len(requests), 3)
        columns = self.tower.weight_columns
        past, placed = requests.of_own_items()
        matrix = torch.from_numpy(np.ascontiguousarray(self.items.matrix[past, :columns]))
        weights = encode(self.tower, placed, matrix, drop)
        popular = np.zeros(columns, np.float32)
        popular[shape.tower + shape.popularity] = 1.0
        new = np.full(len(requests), without[0]) | ~requests.has_history.numpy()
        weights[new] += self.newcomer_weight * popular
        weights[requests.nothing_known.numpy()] = popular
        if not without[0]:
            weights[:, : shape.tower] += self.past_weight * self._past(requests, 0, shape.tower)
        if not self.items.text:
            return weights
        text = requests.context.numpy() * (0.0 if without[1] else self.text_weight)
        if not without[0]:
            text = text + self.past_text_weight * self._past(
                requests, columns, columns + self.items.text
            )
        return np.concatenate([weights, text], axis=1).astype(np.float32)

    def _past(self, requests: Requests, start: int, stop: int) -> NDArray[np.float32]:
        """Return the unit mean ``[B, stop - start]`` of the history's columns; 0 without one."""
        rows = requests.items.numpy()
        inside = rows >= 0
        mean = np.zeros((len(rows), stop - start), np.float32)
        for place in range(rows.shape[1]):
            here = inside[:, place]
            mean[here] += self.items.matrix[rows[here, place], start:stop]
        found: NDArray[np.float32] = mean / np.maximum(
            np.linalg.norm(mean, axis=1, keepdims=True), 1e-9
        )
        return found

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors`` and ``config.json`` as one atomic folder, without items."""
        config = {
            "format": FORMAT,
            "shape": self.tower.shape.to_json(),
            "settings": self.tower.settings.model_dump(mode="json"),
            "profiles": self.profiles.to_json(),
            "statistics": self.statistics.to_json(),
            "as_of_ms": self.as_of_ms,
            "text_weight": self.text_weight,
            "past_weight": self.past_weight,
            "past_text_weight": self.past_text_weight,
            "newcomer_weight": self.newcomer_weight,
            "text": self.items.text,
        }
        with atomic_path(folder) as draft:
            draft.mkdir()
            save_file(self.tower.state_dict(), draft / "model.safetensors")
            (draft / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, items: ItemMatrix) -> "ServedUserTower":
        """Read what :meth:`save` wrote, to answer with ``items``.

        Raises:
            ValueError: another format, or items of other widths; the message says what to rebuild.
        """
        config = read_config(folder)
        shape = UserTowerShape(**config["shape"])
        tower = UserTower(shape, UserTowerSettings(**config["settings"]))
        tower.load_state_dict(load_file(folder / "model.safetensors"))
        widths = (items.tower, items.statistics, items.text)
        if widths != (shape.tower, shape.statistics, config["text"]):
            raise ValueError(f"items of widths {widths} are not {folder}'s; rebuild `item_index`")
        return cls(
            tower.eval(),
            items,
            ProfileEncoder.from_json(config["profiles"]),
            StatisticsSpec.from_json(config["statistics"]),
            config["text_weight"],
            config["past_weight"],
            config["past_text_weight"],
            config["newcomer_weight"],
        )


def read_config(folder: Path) -> dict[str, Any]:
    """Return what stands beside the weights: shape, settings, encoders, chosen weights.

    Raises:
        ValueError: another format; the message says to build the asset anew.
    """
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config["format"] != FORMAT:
        raise ValueError(f"{folder} has format {config['format']}; rebuild `user_tower`")
    return config


def make_knowledge(
    events: Events,
    context_vectors: Vectors,
    profiles: pl.DataFrame,
    encoder: ProfileEncoder,
    max_history: int,
) -> Knowledge:
    """Line the encoded contexts and profiles up with ``events``."""
    people = encoder.encode(align(profiles, events.users))
    return Knowledge(
        events,
        aligned(context_vectors, events.contexts),
        people,
        encoder.known(people),
        max_history,
    )


@torch.inference_mode()
def encode(
    tower: UserTower, requests: Requests, matrix: Tensor, without: Tensor
) -> NDArray[np.float32]:
    """Return float32 ``[B, D + E]`` in chunks, with the tower in evaluation mode."""
    was_training = tower.training
    if was_training:
        tower.eval()
    device = tower.empty.device
    matrix = matrix.to(device)
    parts = []
    for start in range(0, len(requests), CHUNK):
        part = slice(start, start + CHUNK)
        parts.append(tower(requests[part].to(device), matrix, without[part].to(device)).cpu())
    if was_training:
        tower.train()
    columns = tower.weight_columns
    return torch.cat([*parts, torch.zeros(0, columns)]).numpy()
