"""What train events say about an item, as extra dimensions of the inner product.

An item's popularity (decayed at several speeds), its share within each frequent context, its
season, its age and who buys it are columns of the item matrix; the user tower answers with a
weight for each. The columns are taken *as of* a moment, from the events before it, so a training
event is scored with what was known before it, and never helped to count itself.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beauty_rec.events.arrays import DAY_MS, MAX_TAG_VALUES, Events
from beauty_rec.settings import UserTowerSettings

YEAR_DAYS = 365.2425
MONTHS = 12
LIMIT = 6.0
"""Standard deviations kept of a column: a tail must not rule the score."""
FLOOR = 0.3
"""Events that a logarithm of a count starts from."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StatisticsSpec:
    """Which columns there are, and how they are brought to one scale.

    Attributes:
        contexts: texts of the contexts that have columns.
        tags: values of each categorical column of the events that has columns.
        half_lives_days, context_half_lives_days, prior_events: of the settings.
        numbers: how many numeric columns lead a profile vector (z and flag each); of z the square
            is averaged too, so that "who fits" can be a bell and not only a slope.
        mean, deviation: of each column over the items, at the last moment of train.
    """

    contexts: list[str]
    tags: dict[str, list[str]]
    half_lives_days: list[float]
    context_half_lives_days: list[float]
    prior_events: float
    numbers: int
    mean: list[float]
    deviation: list[float]

    @classmethod
    def fit(
        cls,
        events: Events,
        rows: NDArray[np.int64],
        people: NDArray[np.float32],
        numbers: int,
        as_of_ms: int,
        settings: UserTowerSettings,
    ) -> "StatisticsSpec":
        """Choose the columns and their scale from the training events ``rows``."""
        context = events.context[rows]
        counts = np.bincount(context[context >= 0], minlength=len(events.contexts))
        frequent = np.argsort(-counts, kind="stable")[: settings.max_contexts]
        least = max(settings.min_context_share * len(rows), 1)
        spec = cls(
            [events.contexts[c] for c in frequent if counts[c] >= least],
            _tags(events, rows),
            list(settings.half_lives_days),
            list(settings.context_half_lives_days),
            settings.prior_events,
            numbers,
            [],
            [],
        )
        mean: list[float] = []
        deviation: list[float] = []
        for block in spec.blocks(events, rows, people, as_of_ms):
            spread = _over_items(block, np.std)
            mean += _over_items(block, np.mean).tolist()
            deviation += np.where(spread > 1e-6, spread, 1.0).tolist()
        return cls(**(asdict(spec) | {"mean": mean, "deviation": deviation}))

    def at(
        self,
        events: Events,
        rows: NDArray[np.int64],
        people: NDArray[np.float32],
        as_of_ms: int,
    ) -> NDArray[np.float32]:
        """Return float32 ``[N, E]``: the columns from those of ``rows`` before ``as_of_ms``.

        Args:
            events: all events.
            rows: int64, the training events among them.
            people: float32 ``[users, P]``, the encoded profile of each user.
            as_of_ms: Unix milliseconds; later events do not count.
        """
        found = np.empty((len(events.item_ids), len(self.mean)), np.float32)
        start, counts = 0, len(self.half_lives_days)
        for block in self.blocks(events, rows, people, as_of_ms):
            part = slice(start, start + block.shape[1])
            block -= np.array(self.mean[part])
            block /= np.array(self.deviation[part])
            found[:, part] = _limited(block, max(0, counts - start))
            start = part.stop
        return found

    def unsold(self) -> NDArray[np.float32]:
        """Return float32 ``[E]``: the columns of an item without any event.

        Nothing is likelier of it than of others, and its buyers are those of the average item: what
        :meth:`at` says, but for the means, which there are over the events of the moment.
        """
        counts, tags = len(self.half_lives_days), sum(map(len, self.tags.values()))
        lifts = len(self.contexts) * len(self.context_half_lives_days) + MONTHS
        found = np.array(self.mean)
        found[:counts] = np.log(FLOOR)
        found[counts : counts + 3] = 1, 0, 0  # as of _ages
        found[counts + 3 : counts + 3 + lifts] = 0
        found[len(found) - 1 - tags : len(found) - 1] = 0
        scaled = (found - np.array(self.mean)) / np.array(self.deviation)
        return _limited(scaled, counts).astype(np.float32)

    def blocks(
        self,
        events: Events,
        rows: NDArray[np.int64],
        people: NDArray[np.float32],
        as_of_ms: int,
    ) -> Iterator[Floats]:
        """Yield float64 ``[N, …]``: the columns before scaling, some of them at a time."""
        rows = rows[(events.time_ms[rows] < as_of_ms) & (events.item[rows] >= 0)]
        item, items = events.item[rows], len(events.item_ids)
        time = events.time_ms[rows]
        age = (as_of_ms - time) / DAY_MS
        popular = [
            np.log(np.bincount(item, decay(age, half_life), items) + FLOOR)
            for half_life in self.half_lives_days
        ]
        yield np.concatenate([np.stack(popular, axis=1), _ages(item, age, items)], axis=1)
        context = _recode(events.context[rows], events.contexts, self.contexts)
        for half_life in self.context_half_lives_days:
            weight = decay(age, half_life)
            yield _lift(item, items, context, len(self.contexts), weight, self.prior_events)
        month = month_of(time)
        yield _season(item, items, month, 2 * self.prior_events)
        buyer = people[events.user[rows]]
        buyer = np.concatenate([buyer, buyer[:, 0 : 2 * self.numbers : 2] ** 2], axis=1)
        yield _means(item, items, buyer, self.prior_events)
        for name, values in self.tags.items():
            tag = np.full(len(rows), -1)
            if name in events.tags:
                tag = _recode(events.tags[name][rows], events.tag_values[name], values)
            ones = np.ones(len(rows))
            yield _lift(item, items, tag, len(values), ones, self.prior_events)
        stars = events.rating[rows][:, None]
        yield _means(item, items, stars, self.prior_events)

    def to_json(self) -> dict[str, Any]:
        """Return what :meth:`from_json` takes back."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "StatisticsSpec":
        """Return the spec that :meth:`to_json` described."""
        return cls(**kept)


def _limited(scaled: Floats, counts: int) -> Floats:
    """Return z-scores cut at :data:`LIMIT`; those of the first ``counts`` columns keep their order.

    Where most items never sell, the deviation of a count is so small that hundreds of best sellers
    lie beyond any limit: cut there, they would all be equal. A lift as far off is of an event or
    two, and says no more than that it is far.

    >>> _limited(np.array([[3.0, 60.0, 60.0]]), 2).round(2).tolist()
    [[3.0, 10.01, 6.0]]
    """
    found = np.clip(scaled, -LIMIT, LIMIT)
    beyond = np.maximum(np.abs(scaled[..., :counts]) - LIMIT, 0)
    found[..., :counts] += np.copysign(np.log1p(beyond), scaled[..., :counts])
    return found


def _over_items(block: Floats, summary: Callable[..., Floats]) -> Floats:
    """Return the mean or deviation of each column, summed alike however many columns there are.

    NumPy sums a single column in another order than those of a matrix.
    """
    if block.shape[1] != 1:
        return summary(block, axis=0)
    return summary(np.concatenate([block, block], axis=1), axis=0)[:1]


def decay(age_days: Floats, half_life_days: float) -> Floats:
    """Return the weight ``2^(-age / half-life)`` of each event."""
    return np.exp2(-age_days / half_life_days)


def month_of(time_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 0 to 11: the twelfth of the year that a moment lies in."""
    return (time_ms / DAY_MS / YEAR_DAYS * MONTHS).astype(np.int64) % MONTHS


def _tags(events: Events, rows: NDArray[np.int64]) -> dict[str, list[str]]:
    """Return the tags that ``rows`` tell apart, and their values: no other event adds a column."""
    found = {}
    for name, codes in events.tags.items():
        used = np.unique(codes[rows])
        values = [events.tag_values[name][code] for code in used if code >= 0]
        if 2 <= len(values) <= MAX_TAG_VALUES:
            found[name] = values
    return found


def _recode(code: NDArray[np.int64], old: list[str], new: list[str]) -> NDArray[np.int64]:
    """Return the codes of the same texts in another list; -1 where it lacks one."""
    place = {text: number for number, text in enumerate(new)}
    moved = np.array([*(place.get(text, -1) for text in old), -1], dtype=np.int64)
    return moved[code]


def _ages(item: NDArray[np.int64], age: Floats, items: int) -> Floats:
    """``[N, 3]``: never sold yet, log age of the first and of the latest event (0: never sold)."""
    first, latest = np.full(items, -1.0), np.full(items, np.inf)
    np.maximum.at(first, item, age)
    np.minimum.at(latest, item, age)
    unseen = first < 0
    return np.stack(
        [
            unseen,
            np.where(unseen, 0, np.log1p(np.maximum(first, 0))),
            np.log1p(np.where(unseen, 0, latest)),
        ],
        axis=1,
    )


def weighted_counts(
    item: NDArray[np.int64], items: int, value: NDArray[np.int64], values: int, weight: Floats
) -> Floats:
    """Return float64 ``[items, values]``: weighted counts; a value of -1 is left out."""
    known = value >= 0
    place = item[known] * values + value[known]
    counts: Floats = np.bincount(place, weight[known], items * values).astype(np.float64)
    return counts.reshape(items, values)


def log_lift(counts: Floats, prior: float) -> Floats:
    """Return ``log p(value | item) / p(value)`` of counts ``[items, values]``, float64.

    It is shrunk to 0 by ``prior`` average events.
    """
    if counts.shape[1] == 0:
        return counts
    share = (counts.sum(axis=0) + 1) / (counts.sum() + counts.shape[1])
    total = counts.sum(axis=1, keepdims=True)
    lift: Floats = np.log((counts + prior * share) / (total + prior) / share)
    return lift


def _lift(
    item: NDArray[np.int64],
    items: int,
    value: NDArray[np.int64],
    values: int,
    weight: Floats,
    prior: float,
) -> Floats:
    return log_lift(weighted_counts(item, items, value, values, weight), prior)


def _season(item: NDArray[np.int64], items: int, month: NDArray[np.int64], prior: float) -> Floats:
    """``[N, 12]`` log lift of each month, its neighbours counted by half."""
    counts = weighted_counts(item, items, month, MONTHS, np.ones(len(item)))
    counts = counts + 0.5 * np.roll(counts, 1, axis=1) + 0.5 * np.roll(counts, -1, axis=1)
    return log_lift(counts, prior)


def _means(
    item: NDArray[np.int64], items: int, values: NDArray[np.float32], prior: float
) -> Floats:
    """``[N, V]``: an item's mean of each column over its events, shrunk to the average."""
    if values.shape[1] == 0:
        return np.zeros((items, 0))
    count = np.bincount(item, minlength=items)[:, None]
    average = values.mean(axis=0, dtype=np.float64) if len(values) else np.zeros(values.shape[1])
    sums = np.stack([np.bincount(item, column, items) for column in values.T], axis=1)
    shrunk: Floats = (sums + prior * average) / (count + prior)
    return shrunk
