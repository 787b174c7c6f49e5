"""The fixtures of a served set."""

from beauty_rec_tests.recommender.served_set import data, encoder, engine, settings

__all__ = ["data", "encoder", "engine", "settings"]
