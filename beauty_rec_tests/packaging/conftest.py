"""The fixtures of a served set."""

from beauty_rec_tests.recommender.served_set import data, encoder

__all__ = ["data", "encoder"]
