"""Matrices on a CPU in oneDNN's blocked order, for requests: linear layers, and all items.

PyTorch multiplies float32 through MKL, which on AMD's processors takes more than twice as long as
oneDNN does with a weight that was reordered once (22 x 384 by 384 x 1536 on two cores of an EPYC:
285 and 104 us). TorchInductor does the same to a frozen model, but needs a C++ compiler.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import nn

FEW_ROWS = 32
"""Of a lone request."""


def padded_rows(rows: int) -> int:
    """Return a number of rows from ``rows`` on, at most a quarter more.

    oneDNN compiles code for every number of rows that it meets, and keeps a thousand of them: some
    200 MB for requests in batches of any size. A lone request's few rows are left as they are: to
    pad them for every layer takes longer than what they save.
    """
    if rows <= FEW_ROWS:
        return rows
    step = 1 << (rows.bit_length() - 3)
    return -(-rows // step) * step


def packs() -> bool:
    """Whether this build of PyTorch, on this CPU, can reorder a float32 matrix for oneDNN."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


class PackedMatrix:
    """A reordered copy of a float32 matrix ``[N, W]`` on a CPU, to be multiplied with rows.

    Where it cannot be reordered, see :func:`packs`, it is multiplied as it is.
    """

    def __init__(self, matrix: torch.Tensor) -> None:
        self._columns = len(matrix)
        self._reordered = packs() and len(matrix) > 0
        self._matrix = matrix.detach()
        if self._reordered:
            with torch.no_grad():
                self._matrix = torch.ops.mkldnn._reorder_linear_weight(self._matrix, None)

    def __len__(self) -> int:
        return self._columns

    def times(self, rows: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """Return ``rows @ matrix.T + bias``, ``[B, N]``, of rows ``[B, W]``, in float32."""
        if not self._reordered:
            return nn.functional.linear(rows, self._matrix, bias)
        missing = padded_rows(len(rows)) - len(rows)
        if missing:
            rows = nn.functional.pad(rows, (0, 0, 0, missing))
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self._matrix, bias, "none", [], ""
        )
        return out[: len(out) - missing]


class PackedLinears:
    """The linear layers of a model, with a reordered copy of their float32 weights.

    Args:
        model: stays as it is; its layers take the copies within :meth:`used` alone.
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = [_Packed(m) for m in model.modules() if type(m) is nn.Linear]

    @staticmethod
    def fit(model: nn.Module) -> bool:
        """Whether the model's layers can be packed: in float32 on a CPU, with oneDNN here."""
        first = next((m.weight for m in model.modules() if type(m) is nn.Linear), None)
        return (
            first is not None
            and first.device.type == "cpu"
            and first.dtype == torch.float32
            and packs()
        )

    @contextmanager
    def used(self) -> Iterator[None]:
        """Run the forward passes of the model, without gradients, on the copies.

        A weight that has changed since is reordered again.
        """
        with replaced(self._layers):
            yield


class Copy(Protocol):
    """What computes in place of a linear layer, from a copy of its weight."""

    linear: nn.Linear

    def refresh(self) -> None:
        """Copy the weight again, if it has changed."""
        ...

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return what the layer returns."""
        ...


@contextmanager
def replaced(copies: Sequence[Copy]) -> Iterator[None]:
    """Have copies compute in place of their layers."""
    for copy in copies:
        copy.refresh()
        copy.linear.forward = copy.forward  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        for copy in copies:
            del copy.linear.forward


class _Packed:
    def __init__(self, linear: nn.Linear) -> None:
        self.linear = linear
        self._version = -1

    def refresh(self) -> None:
        weight = self.linear.weight
        if weight._version != self._version:
            self._matrix = PackedMatrix(weight)
            self._version = weight._version

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        out = self._matrix.times(rows.reshape(-1, rows.shape[-1]), self.linear.bias)
        return out.reshape(*rows.shape[:-1], -1)
