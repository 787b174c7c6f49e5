"""The processes that train one model together; mostly it is one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed

T = TypeVar("T")
LONGEST_WAIT = timedelta(hours=6)
"""For the first process, which evaluates alone."""


@dataclass(frozen=True)
class Team:
    """Processes 0 to ``size - 1``, of which this one is ``rank``."""

    rank: int = 0
    size: int = 1

    @classmethod
    def now(cls) -> "Team":
        """Return the team of this process, alone unless :func:`joined`."""
        if not distributed.is_available() or not distributed.is_initialized():
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    def share(self, rows: Sequence[T]) -> list[T]:
        """Return this process's rows: as many as every other has, so that some may be left out."""
        return list(rows[self.rank : len(rows) - len(rows) % self.size : self.size])

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Give every process the mean of all processes' gradients."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is not None:
                distributed.all_reduce(parameter.grad)
                parameter.grad /= self.size

    def mean(self, value: torch.Tensor) -> float:
        """Return the mean of a number over all processes."""
        if self.size > 1:
            distributed.all_reduce(value)
        return float(value) / self.size

    def least(self, *values: int) -> list[int]:
        """Return the least of each number over all processes."""
        if self.size == 1:
            return list(values)
        device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        found = torch.tensor(values, dtype=torch.int64, device=device)
        distributed.all_reduce(found, distributed.ReduceOp.MIN)
        return [int(value) for value in found]

    def by_the_first(self, measure: Callable[[Any], float]) -> Callable[[Any], float]:
        """Return ``measure`` as the first process does it; the others get its number."""
        if self.size == 1:
            return measure

        def shared(subject: Any) -> float:
            found = [measure(subject) if self.rank == 0 else None]
            distributed.broadcast_object_list(found)
            assert found[0] is not None, "the first process sent a number"
            return found[0]

        return shared

    def wait(self) -> None:
        """Go on when every process is here."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def joined(*, gpu: bool) -> Iterator[int]:
    """Join the processes that ``torchrun`` started; yield this one's number on its machine."""
    number = distributed.get_node_local_rank()
    if gpu:
        torch.cuda.set_device(number)
    distributed.init_process_group("nccl" if gpu else "gloo", timeout=LONGEST_WAIT)
    try:
        yield number
    finally:
        distributed.destroy_process_group()
