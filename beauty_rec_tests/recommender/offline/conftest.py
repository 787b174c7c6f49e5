"""A small shop of two occasions, to train towers of."""

from beauty_rec_tests.towers.conftest import (
    contexts,
    data,
    item_vectors,
    load,
    profiles,
    reviews,
    small,
)

__all__ = ["contexts", "data", "item_vectors", "load", "profiles", "reviews", "small"]
