"""A little chance in an answer: an item that would not have been shown, with its propensity.

With probability epsilon one of the free places has an item drawn evenly from the candidates behind
the answer, in the place of the one that would stand there. The probability of what is shown at each
place, given the question, is then known exactly, and is logged: rates of the answers without chance
can be estimated from those with it by inverse propensity (Horvitz and Thompson, JASA 1952).
"""

import random
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PLACES = 10
"""The first places of an answer, of which one may have a chance item."""
POOL = 100
"""The best candidates behind the answer, of which one is drawn."""


@dataclass(frozen=True)
class Explorer:
    """Draws chance items.

    Attributes:
        epsilon: share of answers that have one.
        draw: the source of chance.
    """

    epsilon: float
    draw: random.Random = field(default_factory=random.SystemRandom)

    def of(
        self, order: NDArray[np.int64], candidates: int, fixed: Collection[int]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return an answer, perhaps with a chance item, and the propensity of each place.

        A place without choice has propensity 1.

        Args:
            order: places of the answered candidates, best first.
            candidates: how many there are, best first.
            fixed: of the candidates, those that a rule has moved: they stay where they are.
        """
        chosen = np.ones(len(order))
        free = [at for at, place in enumerate(order[:PLACES].tolist()) if place not in fixed]
        taken = {*order.tolist(), *fixed}
        pool = [place for place in range(candidates) if place not in taken][:POOL]
        if not free or not pool:
            return order, chosen
        chosen[free] = 1 - self.epsilon / len(free)
        if self.draw.random() >= self.epsilon:
            return order, chosen
        at, order = self.draw.choice(free), order.copy()
        order[at] = self.draw.choice(pool)
        chosen[at] = self.epsilon / (len(free) * len(pool))
        return order, chosen
