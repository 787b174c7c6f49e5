"""Products in int8 on any processor."""

import pytest
import torch

from beauty_rec.retriever.encoding.quantized_linear import multiplies_int8


@pytest.fixture(params=[False, True], ids=["float32", "int8"])
def quantized(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a matrix is in int8."""
    multiply_int8(monkeypatch)
    return bool(request.param)


def multiply_int8(patch: pytest.MonkeyPatch) -> None:
    """Without VNNI or AMX oneDNN saturates: there whole numbers are multiplied in its place."""
    if multiplies_int8():
        return

    def product(rows: torch.Tensor, _: float, zero: int, weight: torch.Tensor, scales: torch.Tensor,
                *rest: object) -> torch.Tensor:  # fmt: skip
        whole = (rows.double() - zero) @ weight.double().T
        return (whole * scales.double()).float()

    patch.setattr(torch.ops.onednn, "qlinear_prepack", lambda whole, _: whole, raising=False)
    patch.setattr(torch.ops.onednn, "qlinear_pointwise", product, raising=False)
