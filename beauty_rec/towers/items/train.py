"""The recipe of the item tower, top to bottom: SimCSE over the items themselves.

Two views of an item, each with some values masked and some title tokens dropped, are to meet;
all other items of the batch are to stay away. There are no labels and no users in it.
"""

import json
import shutil
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from tqdm import tqdm

from beauty_rec.artifacts import atomic_path
from beauty_rec.measures.vectors import alignment, mean_cosine, neighbour_purity, uniformity
from beauty_rec.settings import ItemTowerSettings
from beauty_rec.towers.items.attribute_space import attribute_space
from beauty_rec.towers.items.features import ItemFeatures, TitleReader
from beauty_rec.towers.items.losses import simcse_loss
from beauty_rec.towers.items.model import ItemTower
from beauty_rec.towers.items.served import encode_items, tower_inputs, unit
from beauty_rec.training.checkpoints import fingerprint_of, load_checkpoint, save_checkpoint
from beauty_rec.training.schedule import cosine_with_warmup
from beauty_rec.training.seeds import epoch_seed, seeded


class CollapseError(RuntimeError):
    """The vectors of different items have become one."""


def train_item_tower(
    features: ItemFeatures,
    vocabulary_size: int,
    titles: TitleReader,
    settings: ItemTowerSettings,
    target: Path,
    classes: NDArray[np.int64] | None = None,
    checkpoints: Path | None = None,
) -> dict[str, Any]:
    """Train, save the tower in ``target`` and return the log.

    Args:
        features: of the items.
        vocabulary_size: number of ids.
        titles: reads the titles of ``features``; trained along if it says so.
        settings: sizes and hyper-parameters.
        target: folder, replaced atomically at the end.
        classes: int64 ``[N]``, the items' categories for the purity of neighbourhoods; -1 unknown.
        checkpoints: folder of the last epoch's state, from which a killed training goes on.

    Returns:
        ``epochs``: loss, alignment, uniformity, purity, purity_by_chance, mean_cosine, seconds.

    Raises:
        CollapseError: the mean cosine of different items exceeds ``collapse_cosine``.
    """
    with seeded(settings.seed):
        tower = ItemTower(vocabulary_size, features.std.shape[1], titles.width, settings)
    tower.space = torch.from_numpy(
        attribute_space(features.re, vocabulary_size, settings.attribute_dimension)
    )
    parts: list[dict[str, Any]] = [{"params": list(tower.parameters())}]
    model = torch.nn.ModuleDict({"tower": tower})
    if titles.trained:
        parts.append({"params": list(titles.encoder.parameters()), "slower": 0.1})
        model["titles"] = titles.encoder
    optimizer = torch.optim.AdamW(parts, settings.learning_rate, weight_decay=settings.weight_decay)
    distinct = features.distinct()
    fingerprint = fingerprint_of(
        settings.model_dump(mode="json") | {"trained": titles.trained},
        features.std,
        features.re,
        titles.tokens.numpy(),
    )
    epochs: list[dict[str, Any]] = []
    if checkpoints is not None:
        kept = load_checkpoint(checkpoints, model, optimizer, fingerprint)
        epochs = kept.state["epochs"] if kept else []
    while len(epochs) < settings.epochs:
        epoch, began = len(epochs) + 1, perf_counter()
        loss = _train_epoch(tower, titles, features, distinct, optimizer, settings, epoch)
        report = _look(tower, titles, features, distinct, classes, settings)
        seconds = round(perf_counter() - began, 2)
        epochs.append({"epoch": epoch, "loss": loss, **report, "seconds": seconds})
        if report["mean_cosine"] > settings.collapse_cosine:
            raise CollapseError(
                f"after epoch {epoch} different items have a mean cosine of "
                f"{report['mean_cosine']:.3f} (limit {settings.collapse_cosine}): lower the "
                "learning rate or the temperature, or give the items more attributes"
            )
        if checkpoints is not None:
            state = {"epochs": epochs}
            save_checkpoint(checkpoints, epoch, model, optimizer, fingerprint, state)
    _save(tower, titles, features, vocabulary_size, target)
    if checkpoints is not None:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return {"epochs": epochs, "parameters": sum(p.numel() for p in tower.parameters())}


def _train_epoch(
    tower: ItemTower,
    titles: TitleReader,
    features: ItemFeatures,
    distinct: NDArray[np.int64],
    optimizer: torch.optim.Optimizer,
    settings: ItemTowerSettings,
    epoch: int,
) -> float:
    """Pass once over the distinct items; return the mean loss. Chance is (seed, epoch) alone.

    Items that no feature tells apart count once: they must not be pushed away from each other.
    """
    order = np.random.default_rng([settings.seed, epoch]).permutation(distinct)
    batches = np.array_split(order, max(1, round(len(order) / settings.batch_size)))
    steps, total = settings.epochs * len(batches), 0.0
    tower.train()
    if titles.trained:
        titles.encoder.train()
    with seeded(epoch_seed(settings.seed, epoch)):
        for number, rows in enumerate(tqdm(batches, "item tower", leave=False, disable=None)):
            rate = settings.learning_rate * cosine_with_warmup(
                (epoch - 1) * len(batches) + number, steps
            )
            for group in optimizer.param_groups:
                group["lr"] = rate * group.get("slower", 1.0)
            inputs = tower_inputs(features, titles, rows)
            one, two = (tower.projection(tower(*tower.view(*inputs))) for _ in range(2))
            loss = simcse_loss(one, two, settings.temperature)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
    return total / max(1, len(order))


@torch.inference_mode()
def _look(
    tower: ItemTower,
    titles: TitleReader,
    features: ItemFeatures,
    distinct: NDArray[np.int64],
    classes: NDArray[np.int64] | None,
    settings: ItemTowerSettings,
) -> dict[str, float]:
    """Return alignment, uniformity, purity and mean cosine of a sample of distinct items."""
    chosen = np.random.default_rng(settings.seed).permutation(distinct)[: settings.purity_sample]
    vectors = encode_items(tower, titles, features, chosen)
    with seeded(settings.seed):
        inputs = tower_inputs(features, titles, chosen)
        one, two = (unit(tower(*tower.view(*inputs))) for _ in range(2))
    known = np.full(len(chosen), -1) if classes is None else classes[chosen]
    purity, chance = neighbour_purity(vectors, torch.from_numpy(known))
    return {
        "alignment": float(alignment(one, two)),
        "uniformity": float(uniformity(vectors)),
        "purity": purity,
        "purity_by_chance": chance,
        "mean_cosine": mean_cosine(vectors.numpy()),
    }


def _save(
    tower: ItemTower, titles: TitleReader, features: ItemFeatures, vocabulary: int, target: Path
) -> None:
    config = {
        "vocabulary": vocabulary,
        "std_fields": features.std.shape[1],
        "title_width": titles.width,
        "attributes": tower.space.shape[1],
        "settings": tower.settings.model_dump(mode="json"),
    }
    with atomic_path(target) as draft:
        draft.mkdir()
        save_file(tower.state_dict(), draft / "model.safetensors")
        (draft / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
        if titles.trained:
            save_file(titles.encoder.state_dict(), draft / "titles.safetensors")
