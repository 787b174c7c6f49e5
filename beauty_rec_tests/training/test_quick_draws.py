"""Draws of dropout: as likely as PyTorch's, from its generator, and quicker."""

import pytest
import torch

from beauty_rec.training.quick_draws import quick_draws
from beauty_rec.training.seeds import seeded

CPU = torch.device("cpu")


@pytest.mark.parametrize("share", [0.0, 1e-4, 0.1, 0.5, 0.9, 0.9999, 1.0])
def test_ones_are_as_likely_as_they_should_be(share: float) -> None:
    with seeded(3), quick_draws(CPU):
        drawn = torch.empty(3, 7, 99_991).bernoulli_(share)
    assert set(drawn.unique().tolist()) <= {0.0, 1.0}
    spread = (share * (1 - share) / drawn.numel()) ** 0.5
    assert float(drawn.double().mean()) == pytest.approx(share, abs=5 * spread + 2**-17)


def test_neighbours_are_drawn_apart() -> None:
    """Four elements share a number, each by bits of its own."""
    with seeded(3), quick_draws(CPU):
        drawn = torch.empty(400_000).bernoulli_(0.5)
    for apart in range(1, 9):
        alike = float((drawn[apart:] == drawn[:-apart]).double().mean())
        assert alike == pytest.approx(0.5, abs=0.005), apart


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_keeps_its_scale_and_its_seed(dtype: torch.dtype) -> None:
    ones = torch.ones(100_001, dtype=dtype)
    found = []
    for seed in (1, 1, 2):
        with seeded(seed), quick_draws(CPU):
            found.append(torch.nn.functional.dropout(ones, 0.25))
    assert found[0].dtype == dtype
    assert set(found[0].unique().tolist()) == {0.0, float(torch.tensor(1 / 0.75, dtype=dtype))}
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_attention_and_its_gradient_are_drawn_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's attention draws its own mask: what stands in the way of a quick one."""
    calls = []
    plain = torch.Tensor.random_

    def counted(self: torch.Tensor, *given: object) -> torch.Tensor:
        calls.append(self.numel())
        return plain(self, *given)

    monkeypatch.setattr(torch.Tensor, "random_", counted)
    query = torch.randn(2, 4, 16, 8, requires_grad=True)
    with seeded(1), quick_draws(CPU):
        attended = torch.nn.functional.scaled_dot_product_attention(
            query, query, query, dropout_p=0.5
        )
        attended.sum().backward()
    assert calls == [2 * 4 * 16 * 16 // 4]
    assert query.grad is not None
    assert bool(query.grad.any())


def test_elsewhere_nothing_changes() -> None:
    with seeded(1):
        plain = torch.empty(99).bernoulli_(0.5)
    with seeded(1), quick_draws(torch.device("cuda")):
        assert torch.equal(torch.empty(99).bernoulli_(0.5), plain)
