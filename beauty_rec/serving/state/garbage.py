"""The served set is kept out of garbage collection, which would stop the server to walk over it."""

import gc


def set_aside() -> None:
    """Collect once, and look at nothing that lives now until the next call.

    A full collection walks over every object of the set and holds all threads meanwhile, half a
    second for 20,000 items; large requests bring it on, whoever sends them.
    """
    gc.unfreeze()  # what belonged to the set before may be garbage by now
    gc.collect()
    gc.freeze()
