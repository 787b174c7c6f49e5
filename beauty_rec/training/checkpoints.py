"""Checkpoints of a training: weights and optimizer as safetensors, the rest as JSON.

Never pickle: a checkpoint is data, whoever made it.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from beauty_rec.artifacts import atomic_path

_MODEL, _OPTIMIZER = "model.", "optimizer."


def save_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]
) -> None:
    """Write ``tensors.safetensors`` and ``state.json``; ``folder`` is replaced atomically.

    Args:
        folder: the checkpoint's own folder.
        model: its ``state_dict`` is kept.
        optimizer: its per-parameter tensors are kept (``exp_avg``, ``step``, …), its options not:
            the recipe makes it anew from the settings.
        state: whatever JSON can hold (epoch, losses, a fingerprint of the settings).
    """
    tensors = {_MODEL + name: value.contiguous() for name, value in model.state_dict().items()}
    for index, slots in optimizer.state_dict()["state"].items():
        for name, value in slots.items():
            tensors[f"{_OPTIMIZER}{index}.{name}"] = torch.as_tensor(value).contiguous()
    with atomic_path(folder) as draft:
        draft.mkdir()
        save_file(tensors, draft / "tensors.safetensors")
        (draft / "state.json").write_text(json.dumps(state), encoding="utf-8")


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, fingerprint: str
) -> dict[str, Any] | None:
    """Fill ``model`` and ``optimizer`` from ``folder`` and return the kept state.

    Returns:
        ``None``, with nothing touched, when there is no checkpoint or when its ``fingerprint``
        differs: it belongs to other data or settings.
    """
    path = folder / "state.json"
    if not path.exists():
        return None
    state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if state.get("fingerprint") != fingerprint:
        return None
    tensors = load_file(folder / "tensors.safetensors")
    model.load_state_dict(
        {k.removeprefix(_MODEL): v for k, v in tensors.items() if k.startswith(_MODEL)}
    )
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(_OPTIMIZER):
            index, name = key.removeprefix(_OPTIMIZER).split(".", 1)
            slots.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": slots, "param_groups": groups})
    return state


def fingerprint(settings: dict[str, Any], *tensors: Tensor) -> str:
    """Return a hash of the settings and of the data that a training saw."""
    import hashlib

    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
