"""Dropout masks at the speed of the rest of a training on a CPU.

PyTorch's ``bernoulli_`` makes a number of its own for each element there, one after the other: a
third of a fine-tuning goes by in it. Here one number decides for four elements, by 16 bits each.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

BITS = 16
PER_NUMBER = 64 // BITS


def quick_draws(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context in which ``bernoulli_`` of a CPU is drawn by 16 bits.

    Numbers come from PyTorch's own generator: a seed gives the same draws again. A share is met to
    2^-17. Each operation costs some microseconds more within it, so it is for large ones.

    Args:
        device: that is computed on; nothing changes on another one than a CPU.

    >>> with torch.random.fork_rng(), quick_draws(torch.device("cpu")):
    ...     round(float(torch.empty(10**6).bernoulli_(0.9).mean()), 2)
    0.9
    """
    return _QuickDraws() if device.type == "cpu" else nullcontext()  # type: ignore[no-untyped-call]


class _QuickDraws(TorchDispatchMode):
    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.ops.aten.bernoulli_.float and not kwargs:
            return _drawn(*args)
        return func(*args, **(kwargs or {}))


def _drawn(out: torch.Tensor, share: float = 0.5) -> torch.Tensor:
    """Fill ``out`` with ones, as likely as ``share``, and zeros."""
    if not 0 < share < 1:
        return out.fill_(share)
    numbers = torch.empty(-(-out.numel() // PER_NUMBER), dtype=torch.int64).random_(-(2**63), None)
    bits = numbers.view(torch.int16)[: out.numel()]  # even over -2^15 .. 2^15 - 1
    return out.copy_((bits < round(share * 2**BITS) - 2 ** (BITS - 1)).view(out.shape))
