"""The stand-in refuses what a card refuses, and computes what a CPU computes."""

import pytest
import torch

from beauty_rec_tests.training.stand_in_gpu import CARD, stand_in_gpu


@pytest.fixture(autouse=True)
def card() -> object:
    with stand_in_gpu():
        yield


def learned(device: str) -> torch.Tensor:
    torch.manual_seed(0)
    # Without the bias of the keys, whose gradient is nothing but rounding.
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0, batch_first=True, bias=False)
    given, hidden = torch.randn(3, 5, 8), torch.tensor([[False, False, False, True, True]] * 3)
    model = layer.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=True)
    for _ in range(3):
        optimizer.zero_grad()
        out = model(given.to(device), src_key_padding_mask=hidden.to(device))
        out[:, torch.arange(2), :4].square().mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    weights = torch.cat([weight.detach().flatten() for weight in model.parameters()])
    assert weights.device == torch.device(device)
    return weights.cpu()


def test_what_is_learned_there_is_learned_here() -> None:
    torch.testing.assert_close(learned("cuda:0"), learned("cpu"))


@pytest.mark.parametrize("grad", [True, False])
def test_tensors_of_both_sides_are_refused(grad: bool) -> None:
    with torch.inference_mode(not grad):
        there, here = torch.ones(2, 3, device=CARD), torch.ones(2, 3)
        for mixed in (
            lambda: there + here,
            lambda: here @ there.T,
            lambda: torch.cat([here, there]),
            lambda: here[there[0].long()],
            lambda: there.index_put_((torch.tensor([0]),), here[:1]),
            lambda: torch.nn.functional.linear(here, there),
            lambda: there.where(here > 0, 0.0),
        ):
            with pytest.raises(RuntimeError, match="on cuda:0, and on the CPU"):
                mixed()
        assert (there + torch.tensor(1.0)).tolist() == [[2.0] * 3] * 2  # as CUDA does
        assert there[torch.tensor([1])].device == CARD


def test_values_are_read_only_when_they_were_brought_back() -> None:
    there = torch.arange(3, device=CARD)
    with pytest.raises(TypeError, match="cpu"):
        there.numpy()
    assert there.cpu().numpy().tolist() == there.tolist() == [0, 1, 2]
    assert there.sum().item() == 3
    here = torch.zeros(3, dtype=torch.int64)
    here.copy_(there)
    assert here.tolist() == [0, 1, 2]
    there[0] = 7
    assert there.tolist() == [7, 1, 2]
    assert here.tolist() == [0, 1, 2]
