"""Which order is served: the simplest that no other beats on valid beyond chance."""

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from beauty_rec.measures.significance import CLUSTERED_FLIPS, beyond_chance, sign_flip_test
from beauty_rec.recommender.orders import CHALLENGERS, COMBINED, ORDERS
from beauty_rec.recommender.sources import SOURCES

LEVEL = 1e-9
"""Of two means whose gains were added up in another order."""


def champion(
    gains: Mapping[str, NDArray[np.float64]], users: NDArray[np.int64] | None = None
) -> tuple[str, str]:
    """Return the order to serve, and why, in a sentence.

    The best single source stands first. Each combined order, the simpler ones before, takes its
    place if it is better by a paired test: a valid split of a few hundred asks calls many an order
    better that is not, and a step can only be checked on test. Without this rule the reranker of a
    small shop was served for .003 more on valid, and had a third of the tower's NDCG@10 on test.

    >>> champion({"user_tower": np.array([0.5, 0.0]), "fused": np.array([0.4, 0.0])})
    ('user_tower', 'NDCG@10 on valid: user_tower 0.2500, fused 0.2000 (p = 1.00)')

    Args:
        gains: order → NDCG@10 of each ask, float64 ``[Q]``, of the same asks.
        users: int64 ``[Q]``, who asked: asks of one user tell less than those of many.

    Raises:
        ValueError: nothing was measured.
    """
    if not any(len(values) for values in gains.values()):
        raise ValueError("no order was measured on valid")
    means = {order: float(values.mean()) for order, values in gains.items()}
    single = [order for order in SOURCES if order in gains]
    steps = sorted(gains, key=ORDERS.index)
    best = max(single or steps[:1], key=lambda order: (means[order], -ORDERS.index(order)))
    facts = [f"{best} {means[best]:.4f}"]
    for order in (name for name in COMBINED if name in gains and name != best):
        p = sign_flip_test(gains[order], gains[best], clusters=users)
        facts.append(f"{order} {means[order]:.4f} (p = {p:.2f})")
        if means[order] > means[best] and beyond_chance(p, CHALLENGERS):
            best = order
    return best, f"NDCG@10 on valid: {', '.join(facts)}"


def unbeaten(
    best: str,
    gains: Mapping[str, NDArray[np.float64]],
    users: NDArray[np.int64] | None = None,
    baselines: Mapping[str, NDArray[np.float64]] | None = None,
) -> tuple[str, str]:
    """Return the order to serve by the asks of one kind alone, and why another one, or "".

    ``best`` may have been chosen on more asks than these. An order that beats it on these alone, by
    the test that refuses to publish what loses to its parts, takes its place: a choice that is
    refused would be made and refused again every night. Of plain baselines those count that some
    order reaches: what loses to one gives way to the simplest order that loses to nothing. What no
    order reaches no choice can mend.

    >>> unbeaten("user_tower", {"user_tower": np.array([0.5]), "fused": np.array([0.4])})
    ('user_tower', '')

    Args:
        best: the order that was chosen.
        gains, users: as of :func:`champion`, of the kind's asks.
        baselines: the same gains of what is not served itself, such as plain popularity.
    """
    everything = {**gains, **(baselines or {})}
    means = {name: float(values.mean()) for name, values in everything.items()}
    top = max(means[order] for order in gains) + LEVEL
    reached = [name for name in baselines or () if means[name] <= top]

    def better(own: str, others: Collection[str]) -> tuple[str, float] | None:
        """Return the best of the others that beats an order beyond chance, and p.

        Orders are challengers of one another; plain popularity is what none may be worse than.
        """
        for other in sorted(others, key=lambda name: -means[name]):
            if means[other] > means[own]:
                p = sign_flip_test(
                    everything[other], everything[own], clusters=users, samples=CLUSTERED_FLIPS
                )
                if beyond_chance(p, CHALLENGERS if other in gains else 1):
                    return other, p
        return None

    orders = sorted(gains, key=ORDERS.index)
    found, why = best, ""
    while (other := better(found, orders)) is not None:
        found, p = other
        why = f"{found} {means[found]:.4f}, {best} {means[best]:.4f} (p = {p:.3f})"
    if (plain := better(found, reached)) is not None:
        lost, (name, p) = found, plain
        single = sorted((o for o in orders if o not in COMBINED), key=lambda o: -means[o])
        simplest_first = [*single, *(o for o in orders if o in COMBINED)]
        # The best of all loses to nothing: there is one.
        found = next(
            order
            for order in simplest_first
            if means[order] > means[lost] and better(order, [*orders, *reached]) is None
        )
        why = f"{name} {means[name]:.4f}, {lost} {means[lost]:.4f} (p = {p:.3f})"
        why += f", {found} {means[found]:.4f}"
    return found, why
