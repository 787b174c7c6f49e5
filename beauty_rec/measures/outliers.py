"""How far a number can be from the others of its column and still be one of them."""

import numpy as np
from numpy.typing import NDArray

REACH = 10
"""Deviations from the median: of a billion numbers of a bell none is as far off."""


def believable(values: NDArray[np.floating]) -> tuple[float, float]:
    """Return the least and the largest of ``values`` that a mean and a deviation may count.

    One typing error (17000 for 170, a barcode) would move both so far that the rest of its column
    were one number. So the deviation here is half the distance of the 16th and the 84th percentile,
    which it hardly moves. Where that is 0, as where most values are equal, there is no limit.

    It is for what people typed. Of what is counted most is 0 and the tail is what matters.

    >>> heights = np.array([*range(150, 191), 17_000])
    >>> [round(limit) for limit in believable(heights)]
    [31, 310]
    """
    if not len(values):
        return -np.inf, np.inf
    low, median, high = np.percentile(values.astype(np.float64), [16, 50, 84])
    reach = REACH * (high - low) / 2
    if reach == 0:
        return -np.inf, np.inf
    return float(median - reach), float(median + reach)
