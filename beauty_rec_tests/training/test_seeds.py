"""Random numbers of a training depend on its seed and epoch alone."""

import torch

from beauty_rec.training.seeds import epoch_seed, seeded


def drawn(seed: int) -> list[float]:
    with seeded(seed):
        return torch.rand(3).tolist()


def test_a_block_draws_by_its_seed_and_leaves_the_callers_numbers_alone() -> None:
    torch.manual_seed(5)
    undisturbed = torch.rand(2)
    torch.manual_seed(5)
    first = drawn(1)
    assert torch.equal(torch.rand(2), undisturbed)
    assert drawn(1) == first != drawn(2)


def test_epochs_of_neighbouring_seeds_do_not_share_one() -> None:
    seeds = [epoch_seed(seed, epoch) for seed in range(3) for epoch in range(100)]
    assert len(set(seeds)) == 300
