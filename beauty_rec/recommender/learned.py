"""What the learned orders read of the sources.

Sources that read a text are left out. In train an item's text holds what its own buyers wrote, and
the retriever has seen their reviews, so a learned order would trust a text far beyond its worth;
texts come in by weights that are chosen on valid.
"""

import numpy as np
from numpy.typing import NDArray

from beauty_rec.ranking.features.spec import RETRIEVAL
from beauty_rec.recommender.sources import SOURCES

COLUMNS = [SOURCES.index(name) for name in RETRIEVAL]


def retrieval(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the columns of normalised scores ``[N, S]`` that the learned orders read."""
    return np.ascontiguousarray(values[:, COLUMNS])
