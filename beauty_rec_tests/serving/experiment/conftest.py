"""The fixtures of two sets."""

from beauty_rec_tests.serving.experiment.two_sets import sets, shop

__all__ = ["sets", "shop"]
