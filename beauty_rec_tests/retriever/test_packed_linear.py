import copy

import pytest
import torch
from torch import nn

from beauty_rec.retriever.packed_linear import PackedLinears, PackedMatrix, padded_rows


@pytest.mark.parametrize("shape", [(1, 16), (7, 16), (3, 5, 16)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_products_are_those_of_float64(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(13)
    model = nn.Sequential(nn.Linear(16, 24, bias=bias), nn.GELU(), nn.Linear(24, 8, bias=bias))
    rows = torch.randn(shape)
    wanted = copy.deepcopy(model).double()(rows.double()).float()
    with torch.inference_mode(), PackedLinears(model).used():
        torch.testing.assert_close(model(rows), wanted, rtol=1e-5, atol=1e-6)
    assert all("forward" not in vars(module) for module in model)


def test_a_changed_weight_is_packed_again() -> None:
    model = nn.Linear(8, 4)
    packed = PackedLinears(model)
    rows = torch.randn(3, 8)
    for _ in range(2):
        with torch.no_grad():
            model.weight.mul_(2)
        with torch.inference_mode(), packed.used():
            torch.testing.assert_close(
                model(rows), nn.functional.linear(rows, model.weight, model.bias)
            )


@pytest.mark.parametrize("reordered", [True, False])
@pytest.mark.parametrize("rows", [1, 5, 8, 33])
def test_a_matrix_times_rows(rows: int, reordered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not reordered:  # as on a CPU, or in a build of PyTorch, that cannot
        monkeypatch.setattr("beauty_rec.retriever.packed_linear.packs", lambda: False)
    matrix, asked = torch.randn(50, 16), torch.randn(rows, 16)
    packed = PackedMatrix(matrix)
    assert len(packed) == 50
    wanted = (asked.double() @ matrix.double().T).float()
    torch.testing.assert_close(packed.times(asked), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", [nn.Linear(2, 2).double(), nn.Embedding(2, 2)])
def test_what_cannot_be_packed_is_known(model: nn.Module) -> None:
    assert not PackedLinears.fit(model)


@pytest.mark.parametrize("rows", [*range(1, 70), 255, 256, 257, 2_048, 2_049])
def test_few_numbers_of_rows_are_met(rows: int) -> None:
    padded = padded_rows(rows)
    assert rows <= padded <= max(rows + 7, rows * 5 / 4)
    assert padded_rows(padded) == padded
    assert len({padded_rows(n) for n in range(1, 2_049)}) < 64
