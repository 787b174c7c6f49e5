"""The encoder of a served set."""

from beauty_rec_tests.recommender.served_set import encoder

__all__ = ["encoder"]
