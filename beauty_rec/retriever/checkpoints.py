"""Checkpoints of a fine-tuning: safetensors for tensors, JSON for the rest, never a pickle.

Each checkpoint is a folder ``step-000123`` that appears whole by one rename; older ones go only
after it stands, so a kill at any moment leaves the last whole one.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from beauty_rec.artifacts import atomic_path, write_text_atomic

Tensors = dict[str, torch.Tensor]


def save_checkpoint(
    folder: Path,
    step: int,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    best: Tensors | None,
    state: dict[str, Any],
) -> None:
    """Write ``folder/step-…`` and delete the older ones.

    Args:
        folder: of one fine-tuning.
        step: optimizer steps done.
        model: its parameters and buffers are kept.
        optimizer: over ``model.parameters()`` that require gradients, in order.
        best: weights of the best evaluation so far; None while they are those of step 0.
        state: anything JSON holds: counters, losses, evaluations, digest of the run.
    """
    target = folder / f"step-{step:08d}"
    with atomic_path(target) as draft:
        draft.mkdir(parents=True)
        save_file(contiguous(model.state_dict()), draft / "weights.safetensors")
        save_file(_optimizer_tensors(optimizer), draft / "optimizer.safetensors")
        if best is not None:
            save_file(best, draft / "best.safetensors")
        write_text_atomic(draft / "state.json", json.dumps({"step": step, **state}) + "\n")
    for older in _whole(folder):
        if older != target:
            _delete(older)


def load_checkpoint(
    folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, digest: str
) -> tuple[dict[str, Any], Tensors | None] | None:
    """Bring model and optimizer to the last checkpoint; return its state and best weights.

    None when there is none, or when it belongs to other data or settings (another ``digest``).
    """
    for path in reversed(_whole(folder)):
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        if state.get("digest") != digest:
            continue
        model.load_state_dict(load_file(path / "weights.safetensors"))
        _restore_optimizer(optimizer, load_file(path / "optimizer.safetensors"))
        best = path / "best.safetensors"
        return state, load_file(best) if best.exists() else None
    return None


def contiguous(tensors: Tensors) -> Tensors:
    """Return detached copies on the CPU, contiguous and unshared, as safetensors asks."""
    return {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    rows = optimizer.state_dict()["state"].items()
    return contiguous({f"{i}.{name}": t for i, row in rows for name, t in row.items()})


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    whole = optimizer.state_dict()
    state: dict[int, Tensors] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})


def _whole(folder: Path) -> list[Path]:
    """Return the finished checkpoints, oldest first (a draft's name begins with a dot)."""
    return sorted(folder.glob("step-*")) if folder.is_dir() else []


def _delete(path: Path) -> None:
    hidden = path.with_name(f".{path.name}")  # a kill half-way leaves nothing that looks whole
    path.rename(hidden)
    shutil.rmtree(hidden)
