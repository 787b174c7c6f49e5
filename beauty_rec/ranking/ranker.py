"""What every learned order of candidates can do."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from beauty_rec.ranking.features.build import Features


class Ranker(Protocol):
    """How likely each candidate is chosen, from its features."""

    def probabilities(self, features: Features) -> NDArray[np.float32]:
        """Return float32 ``[N]``, 0 to 1."""
        ...

    def calibrated(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what of :meth:`probabilities` can be believed, in the same order."""
        ...
