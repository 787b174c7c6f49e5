"""The state of an unfinished training: weights, optimizer and history, without pickle."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from beauty_rec.artifacts import atomic_path
from beauty_rec.ranking.deepfm import DeepFM
from beauty_rec.ranking.reranker import Reranker

History = list[dict[str, float]]


def save_checkpoint(
    folder: Path,
    model: DeepFM,
    optimizer: torch.optim.Optimizer,
    best: Reranker,
    history: History,
) -> None:
    """Replace ``folder`` by the state after the last epoch of ``history``, atomically."""
    state = optimizer.state_dict()["state"]
    moments = {f"{i}.{name}": value for i, held in state.items() for name, value in held.items()}
    with atomic_path(folder) as draft:
        best.save(draft / "best")
        save_file(model.state_dict(), draft / "model.safetensors")
        save_file(moments, draft / "optimizer.safetensors")
        (draft / "history.json").write_text(json.dumps(history), encoding="utf-8")


def load_checkpoint(
    folder: Path, model: DeepFM, optimizer: torch.optim.Optimizer, begun: Reranker
) -> tuple[Reranker, History]:
    """Put the state of ``folder`` into ``model`` and ``optimizer``; return best and history.

    Raises:
        ValueError: it was written with other settings or features than those of ``begun``.
    """
    best = Reranker.load(folder / "best")
    stopping = {"epochs": begun.settings.epochs, "patience": begun.settings.patience}
    if best.settings.model_copy(update=stopping) != begun.settings or best.spec != begun.spec:
        raise ValueError(f"{folder} is of other settings or features; delete it to start anew")
    model.load_state_dict(load_file(folder / "model.safetensors"))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in load_file(folder / "optimizer.safetensors").items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    told = (folder / "history.json").read_text(encoding="utf-8")
    return best, json.loads(told)
