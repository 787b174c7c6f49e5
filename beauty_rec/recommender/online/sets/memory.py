"""Memory that stays where it is, however long the server runs."""

import ctypes
from collections.abc import Iterable
from contextlib import suppress

import torch

M_MMAP_THRESHOLD = -3  # malloc.h
LARGE_BYTES = 3 << 19
"""The activations of a batch are larger, those of one request are not."""


def map_large_blocks() -> None:
    """Have glibc take blocks above 1.5 MiB from the system and give them back when they are freed.

    Within the heap they would leave holes: before 2.38 glibc seldom finds an aligned block's old
    place again, and PyTorch aligns all of its own (sourceware.org, bug 14581). Other systems' C
    libraries are left as they are.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


def read_in(weights: Iterable[torch.Tensor]) -> None:
    """Read every page of memory-mapped weights, so that no request waits for one."""
    for weight in weights:
        weight.sum()
