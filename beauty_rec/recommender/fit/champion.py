"""Which order is served: the best on valid, and of equals the simplest."""

from collections.abc import Mapping

from beauty_rec.recommender.orders import ORDERS


def champion(measured: Mapping[str, float]) -> tuple[str, str]:
    """Return the order with the highest NDCG@10 on valid, and why, in a sentence.

    >>> champion({"user_tower": 0.05, "fused": 0.04})
    ('user_tower', 'best on valid: NDCG@10 0.0500, fused 0.0400')

    Args:
        measured: order → NDCG@10 of the same asks.

    Raises:
        ValueError: nothing was measured.
    """
    if not measured:
        raise ValueError("no order was measured on valid")
    ranked = sorted(measured, key=lambda order: (-measured[order], ORDERS.index(order)))
    best, rest = ranked[0], ranked[1:2]
    runner_up = "".join(f", {order} {measured[order]:.4f}" for order in rest)
    return best, f"best on valid: NDCG@10 {measured[best]:.4f}{runner_up}"
