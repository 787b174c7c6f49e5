"""Names in the folder of a user tower."""

SERVED = "served"


QUERIES = "queries.npy"
"""User vectors of some valid events: what the item index is fitted to, and verified with."""


INDEX_QUERIES = 1_000
