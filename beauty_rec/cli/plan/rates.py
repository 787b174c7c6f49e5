"""How fast a model is here: a text model's first two layers are timed, a step of the item tower.

Random weights take as long as trained ones, so the model itself need not be there.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from beauty_rec.cli.plan.shapes import Shape
from beauty_rec.settings import ItemTowerSettings

SMALL_VOCABULARY = 1_000
TOKENS = {"cuda": 16_384, "cpu": 1_024}
"""Of one timed batch."""
REPEATS = 3
TIMED = 0.3
"""Seconds at least of runs of one kind: the least of few short ones is chance, and the difference
of one and two layers is multiplied by the number of layers."""

VALUES, STD, RE = 12_000, 5, 8
"""Of a beauty shop: distinct attribute values; an item's standard and reinforced ones."""


@dataclass(frozen=True)
class Rates:
    """Of one model on one device.

    Attributes:
        device: ``cpu`` or ``cuda``.
        precision: of the passes.
        encode: tokens a second, forward.
        int8: the same with linear layers in int8; None where items are not encoded so.
        train: tokens a second, forward and backward.
        update: seconds of one optimizer step over all parameters.
        activation_bytes: kept a token for the backward pass.
    """

    device: str
    precision: str
    encode: float
    train: float
    update: float
    activation_bytes: float
    int8: float | None = None


def measured(
    shape: Shape, device: str, tokens: float, precision: str = "float32", *, int8: bool = False
) -> Rates:
    """Time the model's layers with texts of about ``tokens`` tokens, in torch's ``precision``.

    Args:
        shape: of the model.
        device: ``cpu`` or ``cuda``.
        tokens: of a text.
        precision: of the passes.
        int8: also time forward passes with linear layers in int8, on a CPU that has them.
    """
    import torch
    from transformers import AutoModel

    from beauty_rec.retriever.encoding.quantized_linear import QuantizedLinears
    from beauty_rec.training.activations import kept_bytes
    from beauty_rec.training.quick_draws import quick_draws

    length = max(8, round(tokens))
    rows = max(1, TOKENS[device] // length)
    forward: list[float] = []
    rounded: list[float] = []
    both: list[float] = []
    kept: list[float] = []
    step = parameters = 0.0
    reduced = (
        nullcontext()
        if precision == "float32"
        else torch.autocast(device, getattr(torch, precision))
    )
    for layers in (1, 2):
        config = type(shape.config).from_dict(shape.config.to_dict())
        config.num_hidden_layers = layers
        config.vocab_size = SMALL_VOCABULARY
        config.pad_token_id = 1
        torch.manual_seed(0)
        model = AutoModel.from_config(config, dtype=torch.float32).to(device)
        ids = torch.randint(5, SMALL_VOCABULARY, (rows, length), device=device)
        features = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

        def encode(model: Any = model, features: Any = features) -> Any:
            with reduced:
                return model(**features).last_hidden_state

        def only(encode: Callable[[], Any] = encode) -> None:
            with torch.inference_mode():
                encode()

        def train(encode: Callable[[], Any] = encode) -> None:
            with quick_draws(torch.device(device)):
                encode().float().square().mean().backward()

        def in_int8(model: Any = model, features: Any = features) -> None:
            with torch.inference_mode():
                model(**features)

        model.eval()  # as a run encodes, without dropout
        forward.append(_seconds(only, device))
        if int8:
            with QuantizedLinears(model).used():
                rounded.append(_seconds(in_int8, device))
        model.train()
        kept.append(kept_bytes(model, encode))
        both.append(_seconds(train, device))
        if layers == 2:
            trained = [p for p in model.parameters() if p.grad is not None]
            optimizer = torch.optim.AdamW(trained, fused=True)
            step = _seconds(optimizer.step, device)
            parameters = sum(p.numel() for p in trained)
        del model
    batch = rows * length
    return Rates(
        device,
        precision,
        encode=batch / _whole(forward, shape.layers),
        train=batch / _whole(both, shape.layers),
        update=step * shape.parameters / max(1.0, parameters),
        activation_bytes=_whole(kept, shape.layers) / batch,
        int8=batch / _whole(rounded, shape.layers) if rounded else None,
    )


def tower_step(
    settings: ItemTowerSettings, width: int, tokens: float, device: str, precision: str
) -> float:
    """Return the seconds of one step of the item tower's training, from titles that were read.

    Args:
        settings: of the tower.
        width: of the title encoder's states.
        tokens: of a title.
        device, precision: that the tower is trained on and in.
    """
    import torch

    from beauty_rec.towers.items.model import ItemTower
    from beauty_rec.towers.items.train import train_step

    tower = ItemTower(VALUES, STD, width, settings).to(device).train()
    optimizer = torch.optim.AdamW(tower.parameters(), fused=True)
    rows = settings.batch_size
    states = torch.randn(rows, max(1, round(tokens)), width, device=device)
    read = (
        torch.randint(3, VALUES, (rows, STD), device=device),
        torch.randint(3, VALUES, (rows, RE), device=device),
        states,
        torch.ones(states.shape[:2], dtype=torch.bool, device=device),
    )
    return _seconds(lambda: train_step(tower, read, optimizer, settings, precision), device)


def _whole(amounts: list[float], layers: int) -> float:
    """Return what all layers take from what one and two take."""
    one, two = amounts
    return one + (layers - 1) * max(two - one, 0.1 * one)


def _seconds(call: Callable[[], Any], device: str) -> float:
    """Return the least of ``REPEATS`` runs or more, after one that is not counted."""
    import torch

    found: list[float] = []
    while len(found) <= REPEATS or sum(found) < TIMED:
        if device == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - began)
    return min(found[1:])
