"""Linear layers in int8 on a CPU, each row of their input quantized by itself.

A weight is rounded once, with a scale for each of its outputs; a row of the input when it comes,
with a scale of its own (LLM.int8's vector-wise scheme without outliers: Dettmers et al. 2022,
https://arxiv.org/abs/2208.07339). Products of integers are exact, so what comes out for a row does
not depend on the rows beside it. A VNNI instruction multiplies twice as many int8 as bfloat16
pairs.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from beauty_rec.retriever.packed_linear import replaced

LEVELS, _ZERO = 127.0, 128
"""Of either sign; where zero lies in uint8."""
_UNUSED_SCALE = 1.0


def multiplies_int8() -> bool:
    """Whether this processor has instructions for products in int8, and this PyTorch uses them."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.cpu, "get_capabilities"):
        return False
    found = torch.cpu.get_capabilities()
    known = any(found.get(name) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))
    return bool(known) and hasattr(torch.ops.onednn, "qlinear_pointwise")


class QuantizedLinears:
    """The linear layers of a model, with an int8 copy of their weights.

    Args:
        model: in float32 on a CPU; its layers take the copies within :meth:`used` alone, and return
            float32: faster than bfloat16, which would be rounded to and from at each of them.
    """

    def __init__(self, model: nn.Module) -> None:
        self._last = _LastInput()
        linears = [module for module in model.modules() if type(module) is nn.Linear]
        self._layers = [_Quantized(linear, self._last) for linear in linears]

    @contextmanager
    def used(self) -> Iterator[None]:
        """Run the forward passes of the model, without gradients, on the copies.

        A weight that has changed since is quantized again.
        """
        with replaced(self._layers):
            try:
                yield
            finally:
                self._last.forget()


def unsigned(whole: torch.Tensor) -> torch.Tensor:
    """Return int8 as uint8 with zero at 128."""
    return (whole.to(torch.int16) + _ZERO).to(torch.uint8)


def quantized_rows(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows ``[N, W]`` as uint8 with zero at 128, and the scale ``[N, 1]`` of each.

    oneDNN's fast products take unsigned rows.
    """
    largest = torch.maximum(rows.amax(1, keepdim=True), -rows.amin(1, keepdim=True))
    scale = largest.float().clamp_min_(1e-12).div_(LEVELS)
    # Cut off after half was added: as rounding does, in one pass over memory less.
    return (rows * scale.reciprocal()).add_(_ZERO + 0.5).to(torch.uint8), scale


class _LastInput:
    """What was quantized last: a layer's query, key and value are made of the same input."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._rows: torch.Tensor | None = None
        self._found: tuple[torch.Tensor, torch.Tensor] | None = None

    def quantized(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self._found is None or self._rows is not rows:
            flat = rows.reshape(-1, rows.shape[-1])  # [B, L, W] -> [B*L, W]
            self._rows, self._found = rows, quantized_rows(flat)
        return self._found


def int8_rows(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows ``[N, W]`` as int8, to the nearest, and the scale ``[N]`` of each."""
    scales = rows.abs().amax(1).clamp_min(1e-12) / LEVELS
    return (rows / scales[:, None]).round().to(torch.int8), scales


class Int8Weight:
    """Rows of :func:`int8_rows`, reordered for products with rows of :func:`quantized_rows`."""

    def __init__(self, whole: torch.Tensor, scales: torch.Tensor) -> None:
        self._scales, self._zeros = scales, torch.zeros(len(scales), dtype=torch.long)
        self._packed = torch.ops.onednn.qlinear_prepack(whole, None)

    def __len__(self) -> int:
        return len(self._scales)

    def times(self, rows: torch.Tensor) -> torch.Tensor:
        """Return float32 ``[B, N]`` for rows uint8 ``[B, W]``, to be multiplied by their scales."""
        out: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            rows, _UNUSED_SCALE, _ZERO, self._packed, self._scales, self._zeros,
            None, _UNUSED_SCALE, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return out


class _Quantized:
    def __init__(self, linear: nn.Linear, last: _LastInput) -> None:
        self.linear, self._last = linear, last
        self._version = -1

    def refresh(self) -> None:
        weight = self.linear.weight
        if weight._version == self._version:
            return
        with torch.no_grad():
            self._weight = Int8Weight(*int8_rows(weight))
        self._version = weight._version

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        whole, scale = self._last.quantized(rows)
        out, bias = self._weight.times(whole), self.linear.bias
        out = out * scale if bias is None else torch.addcmul(bias, out, scale)
        return out.reshape(*rows.shape[:-1], -1)
