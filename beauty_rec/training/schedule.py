"""The learning rate as a function of the step, so that a resumed training has the same one."""

import math
from typing import Literal


def cosine_with_warmup(step: int, steps: int, warmup_share: float = 0.1) -> float:
    """Return the factor of the learning rate: up in a line, then down to 0 in half a cosine.

    >>> [round(cosine_with_warmup(step, 10, 0.2), 2) for step in (0, 1, 2, 6, 10)]
    [0.33, 0.67, 1.0, 0.5, 0.0]
    """
    warmup = int(steps * warmup_share)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))


def warmup_then_decay(
    step: int, steps: int, warmup_share: float, decay: Literal["linear", "cosine"]
) -> float:
    """Return the factor of the learning rate at ``step``, from 1: up in a line, then down.

    Unlike :func:`cosine_with_warmup` its last step still learns: 0 would come one step later.

    >>> [round(warmup_then_decay(step, 5, 0.2, "linear"), 2) for step in (1, 2, 3, 4, 5)]
    [1.0, 0.8, 0.6, 0.4, 0.2]
    """
    warmup = max(1, math.ceil(steps * warmup_share))
    if step <= warmup:
        return step / warmup
    left = (steps - step + 1) / (steps - warmup + 1)
    return left if decay == "linear" else 0.5 * (1 - math.cos(math.pi * left))
