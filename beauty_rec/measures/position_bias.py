"""How much of a click is owed to the position: propensities, and estimates without their bias.

The position-based model: an item at position k is looked at with probability θ(k), and clicked with
probability θ(k) γ, where γ is how attractive it is to who looks (Craswell, Zoeter, Taylor and
Ramsey, An experimental comparison of click position-bias models, WSDM 2008).

θ is learned from what was shown at several positions, since a unit (an item to a user) is as
attractive at one as at another: intervention harvesting (Agarwal, Zaitsev, Wang, Li, Najork and
Joachims, Estimating position bias without intrusive interventions, WSDM 2019,
https://arxiv.org/abs/1812.05161). Clicks weighed by 1/θ are then unbiased for γ (Joachims,
Swaminathan and Schnabel, Unbiased learning-to-rank with biased feedback, WSDM 2017,
https://arxiv.org/abs/1608.04468).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from beauty_rec.measures.intervals import Interval, bootstrap_intervals

MOST_WEIGHT = 10.0
ITERATIONS = 2_000
TOLERANCE = 1e-9


def position_propensities(
    units: NDArray[np.int64],
    positions: NDArray[np.int64],
    clicks: NDArray[np.bool_],
    count: int,
) -> NDArray[np.float64]:
    """Return θ by position, ``[count]``, relative to the first; NaN where nothing tells.

    The maximum of the Poisson likelihood of the clicks with an effect for every unit and every
    position, found by scaling both in turn (Deming and Stephan, 1940). Units that were never
    clicked, or stood at one position only, say nothing. A position has to be linked with the first
    by units that stood at both, directly or through others.

    Args:
        units: what was shown, any numbers, ``[N]``.
        positions: from 0, ``[N]``.
        clicks: whether it was clicked, ``[N]``.
        count: of positions.
    """
    found = np.full(count, np.nan)
    if not clicks.any():
        return found
    cells, place = np.unique(np.column_stack([units, positions]), axis=0, return_inverse=True)
    shown = np.bincount(place.ravel()).astype(np.float64)
    clicked = np.bincount(place.ravel(), weights=clicks)
    _, unit = np.unique(cells[:, 0], return_inverse=True)
    several = np.bincount(unit) > 1
    tells = several[unit] & (np.bincount(unit, weights=clicked) > 0)[unit]
    if not tells.any():
        return found
    _, unit = np.unique(unit[tells], return_inverse=True)
    at, shown, clicked = cells[tells, 1], shown[tells], clicked[tells]
    keep = (np.bincount(at, clicked, count) > 0)[at]  # no click at all: nothing to scale by
    unit, at, shown, clicked = unit[keep], at[keep], shown[keep], clicked[keep]
    linked = _linked_with_first(unit, at, count)
    if not linked[0]:
        return found
    keep = linked[at]
    unit, at, shown, clicked = unit[keep], at[keep], shown[keep], clicked[keep]
    of_unit = np.bincount(unit, clicked)
    of_position = np.bincount(at, clicked, count)
    theta = np.where(linked, 1.0, 0.0)
    for _ in range(ITERATIONS):
        looks = np.bincount(unit, shown * theta[at])
        gamma = np.divide(of_unit, looks, out=np.zeros_like(looks), where=looks > 0)
        exposed = np.bincount(at, shown * gamma[unit], count)
        after = np.divide(of_position, exposed, out=np.zeros(count), where=exposed > 0)
        after /= after[0]
        moved = np.abs(after - theta).max()
        theta = after
        if moved < TOLERANCE:
            break
    found[linked] = theta[linked]
    return found


@dataclass(frozen=True)
class Debiased:
    """An estimate as if everything had stood at the first position.

    Attributes:
        value: mean of the weighed clicks.
        interval: 95%, users drawn whole, the propensities as they are; NaN of one user.
        effective: how many equally weighed rows are worth as much: (Σw)² / Σw² (Kish, 1965).
        covered: share of the rows whose propensity is known; the others are left out.
        clipped: share of those whose weight was cut.
    """

    value: float
    interval: Interval
    effective: float
    covered: float
    clipped: float


def inverse_propensity(
    clicks: NDArray[np.bool_],
    propensities: NDArray[np.float64],
    clusters: NDArray[np.int64],
    *,
    most_weight: float = MOST_WEIGHT,
    samples: int = 1_000,
    seed: int = 13,
) -> Debiased | None:
    """Return the mean of clicks / propensity; None where no propensity is known.

    Args:
        clicks: of the rows, ``[N]``.
        propensities: of the rows' positions, ``[N]``, NaN where unknown.
        clusters: whose rows are drawn together, such as a user's, ``[N]``.
        most_weight: larger weights are cut to this: a little bias for much less variance (Ionides,
            Truncated importance sampling, 2008).
        samples: of the bootstrap.
        seed: of the bootstrap.
    """
    known = np.isfinite(propensities) & (propensities > 0)
    if not known.any():
        return None
    full = 1 / propensities[known]
    weights = np.minimum(full, most_weight)
    values: NDArray[np.float64] = clicks[known].astype(np.float64) * weights
    [interval] = bootstrap_intervals(
        values[:, None], clusters=clusters[known], samples=samples, seed=seed
    )
    return Debiased(
        float(values.mean()),
        interval,
        float(weights.sum() ** 2 / (weights**2).sum()),
        float(known.mean()),
        float((full > most_weight).mean()),
    )


def _linked_with_first(
    unit: NDArray[np.int64], at: NDArray[np.int64], count: int
) -> NDArray[np.bool_]:
    """Tell which positions units tie to the first, bool ``[count]``."""
    units = int(unit.max(initial=-1)) + 1
    graph = coo_array((np.ones(len(at)), (at, count + unit)), shape=(count + units, count + units))
    _, component = connected_components(graph, directed=False)
    linked: NDArray[np.bool_] = component[:count] == component[0]
    return linked & (np.bincount(at, minlength=count) > 0)
