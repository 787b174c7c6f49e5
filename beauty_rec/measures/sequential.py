"""A test of two variants that may be looked at any time, as often as one likes.

A test with a fixed horizon that is looked at every day calls chance a difference far too often. The
mixture sequential probability ratio test (Robbins, Statistical methods related to the law of the
iterated logarithm, Annals of Mathematical Statistics 1970) holds its level at every moment at once:
under the hypothesis its ratio is a martingale that starts at 1, and exceeds 1/α with probability α
at most, ever (Ville 1939). As always-valid p-values for A/B tests: Johari, Koomen, Pekelis and
Walsh, Peeking at A/B tests, KDD 2017, https://doi.org/10.1145/3097983.3097992, and Always valid
inference, Operations Research 2022, https://arxiv.org/abs/1512.04922. With estimated variances it
holds in the limit of many users (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Time-uniform
central limit theory and asymptotic confidence sequences, Annals of Statistics 2024,
https://arxiv.org/abs/2103.06476).

Users are what is split, so users are what is drawn: a rate is a ratio of sums over users, its
variance that of the delta method (Deng, Knoblich and Lu, Applying the delta method in metric
analytics, KDD 2018, https://arxiv.org/abs/1803.06336), which counts a user who comes back once.
"""

import math
from dataclasses import dataclass

from scipy.special import ndtri

from beauty_rec.measures.intervals import LEVEL, Interval, wilson_interval

LEAST_EVENTS = 10
"""Of the numerator on each side; or, expected on either, twice as many. Fewer decide nothing.

Expected are those of both sides by the side's part of what was shown. By this second rule a side
without any event can be found worse: its own variance is 0 then, but that of the other side is
there, and where 20 are expected none is no chance. Of a side with a hundredth of the users 40
events of both would expect less than one, and its variance of 0 be taken for certainty.
"""


@dataclass(frozen=True)
class RatioSums:
    """Sums over the users of a variant: of ``y`` (such as clicks) and ``x`` (such as items shown).

    Attributes:
        users: how many there are.
        y, x: sums.
        yy, xx, xy: sums of squares and products.
    """

    users: int
    y: float
    x: float
    yy: float
    xx: float
    xy: float

    @property
    def rate(self) -> float:
        """Of y to x; NaN where there is no x."""
        return self.y / self.x if self.x else math.nan

    @property
    def variance(self) -> float:
        """Of the rate, by the delta method; NaN for fewer than two users."""
        if self.users < 2 or not self.x:
            return math.nan
        rate, n = self.rate, self.users
        squares = self.yy - 2 * rate * self.xy + rate * rate * self.xx
        return max(0.0, squares) * n / (n - 1) / (self.x * self.x)

    def interval(self, level: float = LEVEL) -> Interval:
        """Return the interval of the rate at one moment, within 0 and 1.

        Where no user has a y, or all have nothing else, it is Wilson's of as many trials as users.
        """
        if self.users > 1 and self.rate in (0.0, 1.0):
            return wilson_interval(self.rate * self.users, self.users, level)
        spread = float(ndtri(0.5 + level / 2)) * math.sqrt(self.variance)
        return max(0.0, self.rate - spread), min(1.0, self.rate + spread)


@dataclass(frozen=True)
class Comparison:
    """A variant against the control, as of any moment.

    Attributes:
        difference: of the rates, variant minus control.
        lift: the same relative to the control's rate; NaN where that is 0.
        interval: of the difference, a confidence sequence: at all moments at once.
        p: always valid, two-sided; 1 while there is too little to go by.
        decides: whether there is enough to go by.
    """

    difference: float
    lift: float
    interval: Interval
    p: float
    decides: bool


def compare_rates(
    variant: RatioSums,
    control: RatioSums,
    *,
    expected_lift: float,
    alpha: float = 0.05,
    comparisons: int = 1,
    least_users: int = 2,
) -> Comparison:
    """Test whether two rates are equal.

    Args:
        variant, control: of users drawn by chance for each.
        expected_lift: relative difference about which the test is most powerful; chosen before.
        alpha: of all comparisons together.
        comparisons: with the same control, each at ``alpha / comparisons`` (Bonferroni); p is
            multiplied.
        least_users: on each side, before anything is decided.
    """
    difference = variant.rate - control.rate
    lift = difference / control.rate if control.y else math.nan
    v = variant.variance + control.variance
    users = min(variant.users, control.users)
    if users < least_users or not _enough(variant, control) or not v > 0:
        return Comparison(difference, lift, (-math.inf, math.inf), 1.0, decides=False)
    pooled = (variant.y + control.y) / (variant.x + control.x)
    mixing = (expected_lift * pooled) ** 2
    log_ratio = 0.5 * math.log(v / (v + mixing)) + difference**2 * mixing / (2 * v * (v + mixing))
    p = min(1.0, comparisons * math.exp(-min(log_ratio, 700.0)))
    level = math.log(comparisons / alpha)
    spread = math.sqrt(v * (v + mixing) / mixing * (2 * level + math.log((v + mixing) / v)))
    return Comparison(difference, lift, (difference - spread, difference + spread), p, decides=True)


def _enough(variant: RatioSums, control: RatioSums) -> bool:
    """Return whether both sides have enough events, or would have by what they showed."""
    if min(variant.y, control.y) >= LEAST_EVENTS:
        return True
    shown = variant.x + control.x
    least = min(variant.x, control.x) / shown if shown else 0.0
    return (variant.y + control.y) * least >= 2 * LEAST_EVENTS
