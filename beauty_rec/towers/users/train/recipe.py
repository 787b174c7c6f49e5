"""The recipe of the user tower, top to bottom.

Training follows time: at each of several *origins* in train the item statistics are taken from
what lies before, and the events after it are what the tower learns to foresee. So it learns how
far popularity of a day, a season or a year can be trusted, and how that wears off; at the end it
is asked with the statistics of all of train. The item vectors stay frozen throughout.
"""

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from beauty_rec.settings import UserTowerSettings
from beauty_rec.towers.precision import autocast
from beauty_rec.towers.users.inputs import Knowledge
from beauty_rec.towers.users.item_matrix import build_item_matrix
from beauty_rec.towers.users.model import UserTower, UserTowerShape
from beauty_rec.towers.users.profiles import ProfileEncoder
from beauty_rec.towers.users.served import ServedUserTower, make_knowledge
from beauty_rec.towers.users.statistics import StatisticsSpec
from beauty_rec.towers.users.train.data import UserTowerData
from beauty_rec.towers.users.train.losses import sampled_softmax_loss
from beauty_rec.towers.users.train.origins import Origin, make_origins
from beauty_rec.towers.users.train.validation import (
    best_popularity,
    choose_weights,
    draw_rows,
    held_out_recall,
)
from beauty_rec.training.checkpoints import (
    fingerprint_of,
    load_checkpoint,
    save_checkpoint,
    weights_of,
)
from beauty_rec.training.schedule import cosine_with_warmup
from beauty_rec.training.seeds import epoch_seed, seeded

WEIGHTS = ("text_weight", "past_weight", "past_text_weight", "newcomer_weight")
"""Of a served tower, chosen on valid among the settings of the same names."""
FEW_DRAWN = 16
"""Times that the items are as many as are drawn of them, from which on a draw may repeat itself."""


def train_user_tower(
    data: UserTowerData,
    settings: UserTowerSettings,
    target: Path,
    checkpoints: Path | None = None,
    device: str = "cpu",
    precision: str = "auto",
    like: Mapping[str, Any] | None = None,
    scratch: Path | None = None,
) -> dict[str, Any]:
    """Train, save a :class:`ServedUserTower` in ``target`` and return the log.

    Args:
        data: what to learn from.
        settings: sizes and hyper-parameters.
        target: folder, replaced atomically at the end.
        checkpoints: folder of the last epoch's state; a killed training goes on from there with
            the losses that it would have had. They are left there at the end.
        device: that the tower computes on; what is drawn is drawn on the CPU.
        precision: ``encoder.precision``, for the forward passes of the training on a GPU.
        like: the log of a training whose choices are taken: after which epoch of the same schedule
            it ends, the popularity that nothing is known with, and the weights.
        scratch: folder on whose disk the items' statistics of earlier moments lie; None: that of
            temporary files.

    Returns:
        ``epochs``: loss, valid_recall@k (k: ``settings.candidates``), seconds of each;
        ``best_epoch``; the chosen weights; ``valid_recall`` with them;
        ``popularity``, the best such column on valid, and ``popularity_recall``, which epoch 0 is;
        ``columns``, ``parameters``, ``train_events``, ``as_of_ms``.

    Raises:
        ValueError: there are no training events with a known item.
    """
    if like is not None:
        settings = settings.model_copy(
            update={f"{name}s": (like[name],) for name in WEIGHTS if name in like}
        )
    most = settings.epochs if like is None else like["best_epoch"]
    events = data.events
    train = data.train[events.item[data.train] >= 0]
    if not len(train):
        raise ValueError("the user tower has no training event whose item is known")
    encoder = ProfileEncoder.fit(
        data.profiles, [events.users[u] for u in np.unique(events.user[train])]
    )
    known = make_knowledge(
        events, data.context_vectors, data.profiles, encoder, settings.max_history
    )
    as_of_ms = int(events.time_ms[train[-1]]) + 1
    numbers = len(encoder.numeric)
    spec = StatisticsSpec.fit(events, train, known.people, numbers, as_of_ms, settings)
    statistics = spec.at(events, train, known.people, as_of_ms)
    items = build_item_matrix(data.item_vectors, statistics, as_of_ms, data.text_vectors)
    valid = draw_rows(data.valid, len(items.ids), settings)
    popularity, popular_recall = best_popularity(
        items, len(settings.half_lives_days), events, valid, settings.candidates
    )
    popularity = popularity if like is None else like["popularity"]

    shape = UserTowerShape(
        tower=items.tower,
        statistics=items.statistics,
        context=known.contexts.shape[1],
        profile=encoder.width,
        popularity=popularity,
    )
    with seeded(settings.seed):
        tower = UserTower(shape, settings).to(device)
    optimizer = torch.optim.AdamW(
        tower.parameters(),
        settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    origins = make_origins(train, known, spec, data.item_vectors.matrix, settings, scratch)
    sold = torch.from_numpy(np.unique(events.item[train]))
    served = ServedUserTower(tower, items, encoder, spec)

    fingerprint = fingerprint_of(
        {**settings.model_dump(mode="json"), "most": most, "popularity": popularity},
        *(items.matrix, train, valid, events.user, events.item, events.time_ms, events.rating),
        *(events.context, known.contexts, known.people, known.has_profile),
    )
    # Epoch 0 is popularity: a training that never beats it is not served.
    state: dict[str, Any] = {
        "epochs": [],
        "best": popular_recall,
        "best_epoch": 0,
    }
    best = weights_of(tower)
    if checkpoints is not None:
        kept = load_checkpoint(checkpoints, tower, optimizer, fingerprint)
        if kept is not None:
            state, best = kept.state, kept.best or best
    while len(state["epochs"]) < most:
        epoch = len(state["epochs"]) + 1
        if len(valid) and epoch - 1 - max(1, state["best_epoch"]) >= settings.patience:
            break
        began = perf_counter()
        loss = _train_epoch(tower, optimizer, known, origins, sold, settings, epoch, precision)
        recall = held_out_recall(served, known, valid, settings.candidates)
        state["epochs"].append(
            {
                "epoch": epoch,
                "loss": loss,
                f"valid_recall@{settings.candidates}": recall,
                "seconds": round(perf_counter() - began, 2),
            }
        )
        if recall is None or recall > state["best"]:
            state["best"], state["best_epoch"] = recall, epoch
            best = weights_of(tower)
        if checkpoints is not None:
            save_checkpoint(checkpoints, epoch, tower, optimizer, fingerprint, state, best)

    tower.load_state_dict(best)
    tower.eval()
    choose_weights(served, known, valid, settings)
    served.save(target)
    return {
        "epochs": state["epochs"],
        "best_epoch": state["best_epoch"],
        "popularity": popularity,
        "popularity_recall": popular_recall,
        **{name: getattr(served, name) for name in WEIGHTS},
        "valid_recall": held_out_recall(served, known, valid, settings.candidates),
        "columns": {"tower": items.tower, "statistics": items.statistics, "text": items.text},
        "parameters": sum(p.numel() for p in tower.parameters()),
        "train_events": len(train),
        "as_of_ms": as_of_ms,
    }


def _train_epoch(
    tower: UserTower,
    optimizer: torch.optim.Optimizer,
    known: Knowledge,
    origins: list[Origin],
    sold: Tensor,
    settings: UserTowerSettings,
    epoch: int,
    precision: str,
) -> float:
    """Pass once over every origin's window, batches of all origins mixed; return the mean loss.

    All chance comes from (seed, epoch), so an epoch does not depend on the process it runs in.
    """
    rng = np.random.default_rng([settings.seed, epoch])
    batches = [
        (origin, rows)
        for origin in origins
        for rows in _batches(rng.permutation(origin.rows), settings.batch_size)
    ]
    order = rng.permutation(len(batches))
    steps, total = settings.epochs * len(batches), 0.0
    tower.train()
    with seeded(epoch_seed(settings.seed, epoch), tower.empty.device):
        for number, index in enumerate(tqdm(order, "user tower", leave=False, disable=None)):
            origin, rows = batches[index]
            step = (epoch - 1) * len(batches) + number
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * cosine_with_warmup(step, steps)
            loss = _batch_loss(tower, known, origin, rows, sold, settings, precision)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
    return total / sum(len(rows) for _, rows in batches)


def _batch_loss(
    tower: UserTower,
    known: Knowledge,
    origin: Origin,
    rows: NDArray[np.int64],
    sold: Tensor,
    settings: UserTowerSettings,
    precision: str,
) -> Tensor:
    requests, device = known.requests(rows, origin.as_of_ms), tower.empty.device
    without = torch.rand(len(rows), 3) < settings.branch_dropout
    past, requests = requests.of_own_items()
    with autocast(device, precision):
        users = tower(requests.to(device), origin.matrix(past).to(device), without.to(device))
    positives = torch.from_numpy(known.events.item[rows])
    # Items that train never saw are no negatives: nothing says that they were on offer.
    extra = _drawn(sold, settings.uniform_negatives)
    candidates = torch.cat([positives, extra])
    expected = len(rows) * origin.share[candidates] + len(extra) / len(sold)
    items = origin.matrix(candidates.numpy()).to(device)
    return sampled_softmax_loss(
        users.float(), items, positives.to(device), candidates.to(device), expected.to(device)
    )


def _drawn(sold: Tensor, count: int) -> Tensor:
    """Return ``count`` of the items, each as likely; all of fewer.

    Of very many they are drawn with replacement, which hardly shows: a batch then costs the same
    in a shop of any size.
    """
    if len(sold) > FEW_DRAWN * count:
        return sold[torch.randint(len(sold), (count,))]
    return sold[torch.randperm(len(sold))[:count]]


def _batches(rows: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return np.array_split(rows, max(1, round(len(rows) / size)))
