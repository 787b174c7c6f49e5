"""The recipe of the item tower, top to bottom: SimCSE over the items themselves.

Two views of an item, each showing what the other hides, are to meet; all other items of the batch
are to stay away. There are no labels and no users in it. A value that no item of the training has
is left without a row (zeros): nothing was learned of it.
"""

import json
import math
import shutil
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from beauty_rec.artifacts import atomic_path
from beauty_rec.events.arrays import Events
from beauty_rec.measures.vectors import mean_cosine
from beauty_rec.settings import ItemTowerSettings
from beauty_rec.towers.items.attribute_space import attribute_space, attribute_vectors
from beauty_rec.towers.items.features import MASK, PAD, ItemFeatures
from beauty_rec.towers.items.inputs import ItemInputs
from beauty_rec.towers.items.losses import simcse_loss
from beauty_rec.towers.items.model import ItemTower
from beauty_rec.towers.items.report import Looked, table_moved
from beauty_rec.towers.items.served import encode_items, tower_inputs
from beauty_rec.towers.items.share import USUAL, ShareChoice, choose_share
from beauty_rec.towers.items.title_states import TitleReader
from beauty_rec.towers.precision import autocast
from beauty_rec.training.checkpoints import fingerprint_of, load_checkpoint, save_checkpoint
from beauty_rec.training.schedule import cosine_with_warmup
from beauty_rec.training.seeds import epoch_seed, seeded


class CollapseError(RuntimeError):
    """The vectors of different items have become one."""


def train_item_tower(
    inputs: ItemInputs,
    titles: TitleReader,
    settings: ItemTowerSettings,
    target: Path,
    *,
    texts: NDArray[np.float32] | None = None,
    held_out: tuple[Events, NDArray[np.int64]] | None = None,
    checkpoints: Path | None = None,
    device: str = "cpu",
    precision: str = "auto",
) -> dict[str, Any]:
    """Train, save the tower in ``target`` and return the log.

    Args:
        inputs: the items, and their categories for the purity of neighbourhoods.
        titles: reads the titles of the items; trained along if it says so.
        settings: sizes and hyper-parameters.
        target: folder, replaced atomically at the end.
        texts: unit vectors ``[N, T]`` of a text encoder: a reference in the log.
        held_out: events and rows of those that choose ``attribute_share`` where it is unset.
        checkpoints: folder of the last epoch's state, from which a killed training goes on.
        device: that the tower computes on; what is drawn is drawn on the CPU.
        precision: ``encoder.precision``, for the forward passes of the training on a GPU.

    Returns:
        ``epochs``: loss, seconds and what :meth:`Looked.of_tower` gives; ``references``: the same
        of ``random_start``, ``attributes`` and ``text``; ``table_correlation`` of start and end
        and ``table_std``; ``steps``, ``parameters``; ``distinct`` items and ``notes``, what to warn
        of; ``attribute_share``, with
        ``recall_by_share`` and the ``share_queries`` that chose it.

    Raises:
        CollapseError: the mean cosine of different items exceeds ``collapse_cosine``, and that of
            what is read of them does not come near it.
    """
    features = inputs.features
    with seeded(settings.seed):
        tower = ItemTower(inputs.vocabulary_size, features.std.shape[1], titles.width, settings)
    space = attribute_space(features.re, inputs.vocabulary_size, settings.attribute_dimension)
    tower.space = torch.from_numpy(space)
    start = tower.embedding.weight.detach().clone()
    tower.to(device)
    distinct = features.distinct()
    looked = _looked(inputs, distinct, settings)
    references = {
        "random_start": looked.of_tower(tower, titles),
        "attributes": looked.of_attributes(space, settings.feature_dropout),
    }
    if texts is not None:
        references["text"] = looked.of_vectors(torch.from_numpy(texts[looked.rows]))

    notes: list[str] = []
    if len(distinct) < 2:
        notes.append("nothing tells two items apart: give them titles or attributes")
    given = [references["random_start"]["mean_cosine"]]
    given += [] if texts is None else [mean_cosine(texts[looked.rows])]
    # As unlike as twice what a collapse leaves: no training can hold such items apart.
    alike = len(distinct) < 2 or 1 - max(given) < 2 * (1 - settings.collapse_cosine)

    model = torch.nn.ModuleDict({"tower": tower})
    if titles.trained:
        model["titles"] = titles.encoder
    optimizer = _optimizer(tower, titles, settings)
    shapes = (inputs.vocabulary_size, titles.width, space.shape[1])
    fingerprint = fingerprint_of(
        settings.model_dump(mode="json", exclude={"attribute_share", "attribute_shares"})
        | {"trained": titles.trained, "shapes": shapes},
        features.std,
        features.re,
        features.title,
        titles.tokens.numpy(),
    )
    epochs: list[dict[str, Any]] = []
    if checkpoints is not None:
        kept = load_checkpoint(checkpoints, model, optimizer, fingerprint)
        epochs = kept.state["epochs"] if kept else []
    while len(epochs) < settings.epochs:
        epoch, began = len(epochs) + 1, perf_counter()
        loss = _train_epoch(
            tower, titles, features, distinct, optimizer, settings, epoch, precision
        )
        report = looked.of_tower(tower, titles)
        seconds = round(perf_counter() - began, 2)
        epochs.append({"epoch": epoch, "loss": loss, **report, "seconds": seconds})
        if report["mean_cosine"] > settings.collapse_cosine and not alike:
            raise CollapseError(
                f"after epoch {epoch} different items have a mean cosine of "
                f"{report['mean_cosine']:.3f} (limit {settings.collapse_cosine}): lower the "
                "learning rate or the temperature, or give the items more attributes"
            )
        if checkpoints is not None:
            state = {"epochs": epochs}
            save_checkpoint(checkpoints, epoch, model, optimizer, fingerprint, state)

    if not notes and alike and epochs and epochs[-1]["mean_cosine"] > settings.collapse_cosine:
        notes.append(
            f"different items have a mean cosine of {epochs[-1]['mean_cosine']:.3f}: what is read "
            f"of them has one of {max(given):.3f}; more attributes would tell them apart"
        )
    end, used = tower.embedding.weight.detach(), used_ids(features)
    moved = table_moved(start, end.cpu(), used[used != PAD])
    end[torch.from_numpy(np.setdiff1d(np.arange(len(end)), used))] = 0.0
    choice = _choice(tower, titles, features, held_out, settings)
    tower.settings = settings.model_copy(update={"attribute_share": choice.share})
    _save(tower, titles, features, target, alike=alike)
    if checkpoints is not None:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return {
        "epochs": epochs,
        "references": references,
        **moved,
        "distinct": len(distinct),
        "notes": notes,
        "steps": settings.epochs * steps_of_epoch(len(distinct), settings),
        "parameters": sum(p.numel() for p in tower.parameters()),
        "attribute_share": choice.share,
        "recall_by_share": choice.recalls,
        "share_queries": choice.queries,
    }


def used_ids(features: ItemFeatures) -> NDArray[np.int64]:
    """Return the ids that a training on ``features`` can move, ascending."""
    return np.unique(np.concatenate([[MASK], features.std.ravel(), features.re.ravel()]))


def _optimizer(
    tower: ItemTower, titles: TitleReader, settings: ItemTowerSettings
) -> torch.optim.Optimizer:
    """Return AdamW with a rate for the table, one for the rest, a tenth of it for the titles."""
    table = tower.embedding.weight
    rest = [parameter for parameter in tower.parameters() if parameter is not table]
    groups: list[dict[str, Any]] = [
        {"params": [table], "rate": settings.table_learning_rate},
        {"params": rest, "rate": settings.learning_rate},
    ]
    if titles.trained:
        groups.append(
            {"params": list(titles.encoder.parameters()), "rate": settings.learning_rate / 10}
        )
    return torch.optim.AdamW(
        groups, settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )


def _batches(items: int, settings: ItemTowerSettings) -> int:
    """Return the batches of one pass over the items."""
    return max(1, round(items / settings.batch_size))


def steps_of_epoch(items: int, settings: ItemTowerSettings) -> int:
    """Return the steps of an epoch: whole passes, as many as make ``min_steps`` of all epochs.

    With more items than ``max_steps`` reach an epoch is a part of a pass, drawn anew each time.
    """
    if not settings.epochs:
        return 0
    batches = _batches(items, settings)
    passes = max(1, math.ceil(settings.min_steps / (settings.epochs * batches)))
    if passes > 1:  # so few items that whole passes stay near what is asked for
        return passes * batches
    return min(batches, math.ceil(max(settings.min_steps, settings.max_steps) / settings.epochs))


def _train_epoch(
    tower: ItemTower,
    titles: TitleReader,
    features: ItemFeatures,
    distinct: NDArray[np.int64],
    optimizer: torch.optim.Optimizer,
    settings: ItemTowerSettings,
    epoch: int,
    precision: str,
) -> float:
    """Go over the distinct items; return the mean loss. Chance is (seed, epoch) alone.

    Items that no feature tells apart count once: they must not be pushed away from each other.
    """
    draw = np.random.default_rng([settings.seed, epoch])
    own = steps_of_epoch(len(distinct), settings)
    batches: list[NDArray[np.int64]] = []
    while len(batches) < own:
        drawn = draw.permutation(distinct)
        batches += np.array_split(drawn, _batches(len(distinct), settings))
    batches = batches[:own]
    steps, total = settings.epochs * own, 0.0
    device = tower.embedding.weight.device
    tower.train()
    if titles.trained:
        titles.encoder.train()
    with seeded(epoch_seed(settings.seed, epoch), device):
        for number, rows in enumerate(tqdm(batches, "item tower", leave=False, disable=None)):
            factor = cosine_with_warmup((epoch - 1) * len(batches) + number, steps)
            for group in optimizer.param_groups:
                group["lr"] = group["rate"] * factor
            with autocast(device, precision):  # a title encoder that is trained along computes too
                read = tower_inputs(features, titles, rows, device)
            total += train_step(tower, read, optimizer, settings, precision)
    return total / len(batches)


def train_step(
    tower: ItemTower,
    read: tuple[Tensor, Tensor, Tensor, Tensor],
    optimizer: torch.optim.Optimizer,
    settings: ItemTowerSettings,
    precision: str,
) -> float:
    """Learn from one batch, of which ``read`` is what the tower reads; return its loss."""
    with autocast(read[0].device, precision):
        one, two = tower.projection(tower(*tower.views(*read))).chunk(2)  # [2B, D] -> [B, D] each
    loss = simcse_loss(one.float(), two.float(), settings.temperature)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def _looked(inputs: ItemInputs, distinct: NDArray[np.int64], settings: ItemTowerSettings) -> Looked:
    """Return a sample of the distinct items."""
    rows = np.random.default_rng(settings.seed).permutation(distinct)[: settings.purity_sample]
    return Looked(inputs.features, rows, inputs.classes[rows], inputs.class_field, settings.seed)


def _choice(
    tower: ItemTower,
    titles: TitleReader,
    features: ItemFeatures,
    held_out: tuple[Events, NDArray[np.int64]] | None,
    settings: ItemTowerSettings,
) -> ShareChoice:
    """Return the share of the settings, or that which held-out events choose."""
    if settings.attribute_share is not None:
        return ShareChoice(settings.attribute_share, {}, 0)
    if held_out is None:
        return ShareChoice(USUAL, {}, 0)
    learned = encode_items(tower, titles, features, np.arange(len(features))).numpy()
    attributes = attribute_vectors(features.re, tower.space.cpu().numpy())
    return choose_share(learned, attributes, settings.attribute_shares, *held_out)


def _save(
    tower: ItemTower, titles: TitleReader, features: ItemFeatures, target: Path, *, alike: bool
) -> None:
    config = {
        "vocabulary": tower.embedding.num_embeddings,
        "std_fields": features.std.shape[1],
        "title_width": titles.width,
        "attributes": tower.space.shape[1],
        "settings": tower.settings.model_dump(mode="json"),
        "items_alike": alike,
    }
    with atomic_path(target) as draft:
        draft.mkdir()
        save_file(tower.state_dict(), draft / "model.safetensors")
        (draft / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
        if titles.trained:
            save_file(titles.encoder.state_dict(), draft / "titles.safetensors")
