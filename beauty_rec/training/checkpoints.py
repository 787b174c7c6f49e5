"""Checkpoints of a training: tensors as safetensors, the rest as JSON, never a pickle.

Each checkpoint is a folder ``step-00000123`` that appears whole by one rename; older ones go only
after it stands, so a kill at any moment leaves the last whole one.
"""

import hashlib
import json
import logging
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from beauty_rec.artifacts import ODD_JSON, atomic_path, content_hash, write_text_atomic

LOG = logging.getLogger("beauty_rec.training")
Tensors = dict[str, torch.Tensor]

_MODEL, _OPTIMIZER, _BEST = "weights.safetensors", "optimizer.safetensors", "best.safetensors"


class Checkpoint(NamedTuple):
    """What a training goes on with, beside its model and optimizer."""

    state: dict[str, Any]
    best: Tensors | None


def save_checkpoint(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    fingerprint: str,
    state: dict[str, Any],
    best: Tensors | None = None,
) -> None:
    """Write ``folder/step-…`` and delete the older ones.

    The best weights are written once: a later checkpoint that has the same ones links the file.

    Args:
        folder: of one training.
        step: optimizer steps or epochs done.
        model: its parameters and buffers are kept.
        optimizer: its per-parameter tensors are kept (``exp_avg``, ``step``, …), its options not:
            the recipe makes it anew from the settings.
        fingerprint: of :func:`fingerprint_of`: which data and settings this belongs to.
        state: whatever JSON can hold: losses, evaluations.
        best: weights of the best evaluation so far, of :func:`weights_of`; None: there is none.
    """
    target = folder / f"step-{step:08d}"
    kind = None if best is None else _kind_of(best)
    document = {"step": step, "fingerprint": fingerprint, "state": state, "best": kind}
    with atomic_path(target) as draft:
        draft.mkdir(parents=True)
        save_file(weights_of(model), draft / _MODEL)
        save_file(_optimizer_tensors(optimizer), draft / _OPTIMIZER)
        if best is not None and not _linked(folder, kind, draft / _BEST):
            save_file(best, draft / _BEST)
        files = {path.name: content_hash(path) for path in draft.glob("*.safetensors")}
        whole = {**document, "check": _digest({**document, "files": files}), "files": files}
        write_text_atomic(draft / "state.json", json.dumps(whole) + "\n")
    for older in _whole(folder):
        if older != target:
            _delete(older)


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, fingerprint: str
) -> Checkpoint | None:
    """Bring ``model`` and ``optimizer`` to the last checkpoint and return the rest of it.

    Returns:
        ``None``, with nothing touched, when there is no checkpoint, or only one with another
        ``fingerprint``: it belongs to other data or settings, and training begins anew. A damaged
        one is passed over with a warning.
    """
    for path in reversed(_whole(folder)):
        document = _read(path)
        if document is None:
            LOG.warning("%s is damaged: training does not go on from it", path)
            continue
        if document.get("fingerprint") != fingerprint:
            continue
        model.load_state_dict(load_file(path / _MODEL))
        _restore_optimizer(optimizer, load_file(path / _OPTIMIZER))
        best = path / _BEST
        return Checkpoint(document["state"], load_file(best) if best.exists() else None)
    return None


def _kind_of(tensors: Tensors) -> str:
    """Return 32 hex digits that stand for tensors, whatever the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]


def _linked(folder: Path, kind: str | None, target: Path) -> bool:
    """Link ``target`` to the best weights of an earlier checkpoint, if they are of a kind."""
    for path in reversed(_whole(folder)):
        try:
            document = json.loads((path / "state.json").read_text(encoding="utf-8"))
            same = document["best"] == kind
            if same and content_hash(path / _BEST) == document["files"][_BEST]:
                target.hardlink_to(path / _BEST)
                return True
        except (OSError, *ODD_JSON):  # damaged, or a file system without links
            continue
    return False


def _read(path: Path) -> dict[str, Any] | None:
    """Return what a checkpoint says of itself; None unless all of it is what was written."""
    try:
        document: dict[str, Any] = json.loads((path / "state.json").read_text(encoding="utf-8"))
        check = document.pop("check")
        files = document["files"]
        same = all(content_hash(path / name) == digest for name, digest in files.items())
    except (OSError, *ODD_JSON):
        return None
    return document if same and check == _digest(document) else None


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:32]


def fingerprint_of(settings: dict[str, Any], *arrays: NDArray[Any]) -> str:
    """Return 32 hex digits that stand for the settings and the data that a training sees.

    Args:
        settings: whatever JSON can hold; the order of its keys does not count.
        arrays: the data: type, shape and every byte count.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]


def weights_of(model: nn.Module) -> Tensors:
    """Return copies of a model's parameters and buffers, which further training does not change."""
    return _copies(model.state_dict())


def _copies(tensors: Tensors) -> Tensors:
    """Return detached copies on the CPU, contiguous and unshared, as safetensors asks."""
    return {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    rows = optimizer.state_dict()["state"].items()
    return _copies(
        {f"{i}.{name}": torch.as_tensor(t) for i, row in rows for name, t in row.items()}
    )


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    state: dict[int, Tensors] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _whole(folder: Path) -> list[Path]:
    """Return the finished checkpoints, oldest first (a draft's name begins with a dot)."""
    return sorted(folder.glob("step-*")) if folder.is_dir() else []


def _delete(path: Path) -> None:
    hidden = path.with_name(f".{path.name}")  # a kill half-way leaves nothing that looks whole
    shutil.rmtree(hidden, ignore_errors=True)
    path.rename(hidden)
    shutil.rmtree(hidden)
