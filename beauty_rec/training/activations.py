"""What a forward pass keeps in memory for its backward pass."""

from collections.abc import Callable
from typing import Any

import torch


def kept_bytes(model: torch.nn.Module, forward: Callable[[], Any]) -> float:
    """Return the bytes that ``forward()`` keeps for its backward pass, the weights left out.

    >>> layer = torch.nn.Linear(3, 5)
    >>> kept_bytes(layer, lambda: layer(torch.zeros(2, 3)).relu())  # [2, 3] and [2, 5] in float32
    64.0
    """
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        held = forward()
    del held
    return float(sum(kept.values()))
