"""Random numbers of a training: a function of its seed and step, whatever process it runs in.

So a resumed training draws what an uninterrupted one draws.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

CPU = torch.device("cpu")


@contextmanager
def seeded(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Seed torch for a block of code; afterwards the caller's random numbers go on as before.

    Args:
        seed: of the CPU's generator and of ``device``'s.
        device: where the block computes; no other accelerator is woken up.

    >>> state = torch.get_rng_state()
    >>> with seeded(3):
    ...     drawn = torch.rand(2)
    >>> torch.equal(torch.get_rng_state(), state)
    True
    """
    with torch.random.fork_rng(devices=[] if device.type == "cpu" else [device]):
        torch.manual_seed(seed)
        yield


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the seed of one epoch of a training, another for each of its first 100,003."""
    return seed * 100_003 + epoch
