"""Why an answer has no item: one that is empty says it in its notes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from beauty_rec.recommender.online.stock.catalogue import Catalogue
from beauty_rec.recommender.sources import SOURCES


def why_nothing_left(
    catalogue: Catalogue,
    kept_back: NDArray[np.int64],
    allowed: NDArray[np.bool_] | None,
    left_out: NDArray[np.int64],
) -> str | None:
    """Return why no item at all may be answered; None where some may be.

    Args:
        catalogue: of the shop.
        kept_back: rows that the shop shows nobody.
        allowed: the rows that pass the filters, bool ``[N]``; None: there are no filters.
        left_out: rows that were seen, or that the asker or a rule leaves out.
    """
    free = np.ones(catalogue.rows, bool)
    free[kept_back] = False
    if not free.any():
        return "the shop has no item that may be shown"
    if allowed is not None:
        free &= allowed
    if not free.any():
        return "no item that may be shown passes the filters"
    free[left_out] = False
    if not free.any():
        which = "may be shown" if allowed is None else "passes the filters"
        return f"every item that {which} was seen before or is left out"
    return None


def why_nothing_found(sources: Sequence[str]) -> str:
    """Return that the sources that were asked find nothing, though items are left."""
    names = "any source" if set(sources) == set(SOURCES) else " or ".join(sources)
    return f"nothing that may be shown is found by {names}"
