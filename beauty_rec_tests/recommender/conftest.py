"""The fixtures of a served set, and of the first pass over its items."""

from beauty_rec_tests.recommender.served_set import data, encoder, engine, settings
from beauty_rec_tests.whole_products import quantized

__all__ = ["data", "encoder", "engine", "quantized", "settings"]
