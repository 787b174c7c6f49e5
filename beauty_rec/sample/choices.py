"""Who buys what, when, and how it is rated: an event log drawn from tastes and catalogue.

A purchase is drawn in three steps: a time, a department (by the person's shares, lifted by the
occasion), and one of ``CANDIDATES`` items of the department, which were shown by their interest
at that time; among these by a multinomial logit over the fit (McFadden 1974, "Conditional logit
analysis of qualitative choice behavior"). So time and memory do not grow with reviews x items.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from beauty_rec.sample.catalogue import DAY_MS, END_MS, START_MS, Catalogue
from beauty_rec.sample.tables import Tables
from beauty_rec.sample.tastes import OCCASION_LIFT, Tastes

CANDIDATES = 48
CHUNK = 20_000
QUARTERS = 35
SEGMENT, CONCERN, SECOND_CONCERN, SCENT, PRICE, OCCASION = 3.0, 2.6, 1.0, 1.3, 0.8, 1.0
"""Weights of the fit, in units of log odds."""
RATING_SHARES = (0.08, 0.06, 0.09, 0.16, 0.61)


@dataclass(frozen=True)
class Events:
    """Event ``j`` is row ``j``; sorted by person, then time. (person, item, time) is unique."""

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    time_ms: NDArray[np.int64]
    occasion: NDArray[np.int8]
    rating: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.user)


def draw_counts(reviews: int, items: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return reviews per person (lognormal: median 2, mean 3.4), summing to ``reviews``."""
    limit = max(2, items // 5)
    counts = 1 + np.minimum(rng.lognormal(np.log(1.5), 1.15, reviews).astype(np.int64), limit - 1)
    people = int(np.searchsorted(np.cumsum(counts), reviews)) + 1
    counts = counts[:people]
    counts[-1] -= counts.sum() - reviews
    return counts


def fit(
    tastes: Tastes,
    catalogue: Catalogue,
    tables: Tables,
    users: NDArray[np.integer],
    occasions: NDArray[np.integer],
    items: NDArray[np.integer],
) -> NDArray[np.float32]:
    """Return ``[E, K]``: how well items ``[E, K]`` fit people ``[E]`` for occasions ``[E]``."""
    department = catalogue.department[items]
    segment_kind = np.array([d.segment for d in tables.departments])[department]
    concern_kind = np.array([d.concern for d in tables.departments])[department]
    person = users[:, None]
    segment, concern = catalogue.segment[items], catalogue.concern[items]
    score = SEGMENT * (tastes.segments[person, segment_kind] == segment).astype(np.float32)
    score += 0.5 * SEGMENT * (segment < 0)
    concerns = tastes.concerns[person, concern_kind]
    score += CONCERN * (concerns[..., 0] == concern) + SECOND_CONCERN * (
        concerns[..., 1] == concern
    )
    score += SCENT * (tastes.scent[person] == catalogue.scent[items])
    score -= PRICE * np.abs(tastes.budget[person] - catalogue.price_level[items])
    wanted = catalogue.occasion[items]
    score += OCCASION * ((wanted == occasions[:, None]) & (wanted > 0))
    found: NDArray[np.float32] = score.astype(np.float32)
    return found


def draw_events(
    tastes: Tastes,
    counts: NDArray[np.int64],
    catalogue: Catalogue,
    tables: Tables,
    rng: np.random.Generator,
) -> Events:
    """Draw all purchases; ``counts[i]`` of person ``i``."""
    user = np.repeat(np.arange(len(counts)), counts)
    time_ms = _draw_times(counts, rng)
    own = rng.random(len(user))
    occasion = np.where(
        own < 0.4, 0, np.where(own < 0.8, tastes.occasion[user], rng.integers(0, 8, len(user)))
    )
    department = _draw_departments(tastes, user, occasion, catalogue, tables, rng)
    item = np.empty(len(user), dtype=np.int32)
    pending = np.arange(len(user))
    quarter = ((time_ms - START_MS) * QUARTERS // (END_MS - START_MS)).clip(0, QUARTERS - 1)
    with tqdm(total=len(user), desc="sample: purchases", unit="event", disable=None) as progress:
        for attempt in range(4):  # a person seldom buys the same item again: draw those anew
            for index in np.split(
                pending[np.argsort(quarter[pending], kind="stable")],
                np.flatnonzero(np.diff(np.sort(quarter[pending]))) + 1,
            ):
                if len(index):
                    now = START_MS + quarter[index[0]] * (END_MS - START_MS) / QUARTERS
                    shelf = _Shelf(catalogue, now, len(tables.departments))
                    for chunk in np.array_split(index, -(-len(index) // CHUNK)):
                        shown = shelf.show(department[chunk], rng)
                        score = fit(tastes, catalogue, tables, user[chunk], occasion[chunk], shown)
                        best = np.argmax(score + rng.gumbel(size=score.shape), axis=1)
                        item[chunk] = shown[np.arange(len(chunk)), best]
                        progress.update(len(chunk) if attempt == 0 else 0)
            pair = user.astype(np.int64) * len(catalogue) + item
            order = np.argsort(pair, kind="stable")
            pending = np.sort(order[1:][np.diff(pair[order]) == 0])
    rating = _rate(tastes, catalogue, tables, user, occasion, item, rng)
    return Events(
        user.astype(np.int32), item, time_ms, occasion.astype(np.int8), rating.astype(np.int8)
    )


class _Shelf:
    """The items of each department at one time, to be drawn by their interest."""

    def __init__(self, catalogue: Catalogue, now_ms: float, departments: int) -> None:
        self.order = np.argsort(catalogue.department, kind="stable")
        self.cumulative = np.concatenate([[0], np.cumsum(catalogue.interest(now_ms)[self.order])])
        at = np.searchsorted(catalogue.department[self.order], np.arange(departments + 1))
        self.low, self.high = self.cumulative[at[:-1]], self.cumulative[at[1:]]

    def show(self, departments: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return ``[E, CANDIDATES]`` items of the departments ``[E]``."""
        low, high = self.low[departments][:, None], self.high[departments][:, None]
        drawn = low + (high - low) * rng.random((len(departments), CANDIDATES))
        at = np.searchsorted(self.cumulative, drawn, side="right") - 1
        found: NDArray[np.int64] = self.order[np.minimum(at, len(self.order) - 1)]
        return found


def _draw_times(counts: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return times in order for each person: more people later on, active for a year or three."""
    length = END_MS - START_MS - 1_000
    span = np.minimum(rng.lognormal(np.log(2.0), 0.7, len(counts)) * 365 * DAY_MS, length)
    start = rng.beta(2.2, 1.3, len(counts)) * length - 0.5 * span
    start = np.clip(start, 0, length - span)
    user = np.repeat(np.arange(len(counts)), counts)
    times = (START_MS + start[user] + span[user] * rng.random(len(user))).astype(np.int64)
    times = times[np.lexsort((times, user))]
    same = np.flatnonzero((np.diff(times) == 0) & (np.diff(user) == 0)) + 1
    times[same] += 1 + np.arange(len(same))  # ties of a person: a few milliseconds apart
    return times


def _draw_departments(
    tastes: Tastes,
    user: NDArray[np.int64],
    occasion: NDArray[np.int64],
    catalogue: Catalogue,
    tables: Tables,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    lift = np.ones((len(tables.occasions), len(tables.departments)), dtype=np.float32)
    for row, wanted in enumerate(tables.occasions):
        lift[row, list(wanted.departments)] = OCCASION_LIFT
    stocked = np.bincount(catalogue.department, minlength=len(tables.departments)) > 0
    department = np.empty(len(user), dtype=np.int64)
    for low in range(0, len(user), CHUNK):
        part = slice(low, low + CHUNK)
        chance = tastes.departments[user[part]] * lift[occasion[part]] * stocked
        noise = rng.gumbel(size=chance.shape)
        department[part] = np.argmax(np.log(chance + 1e-30) + noise, axis=1)
    return department


def _rate(
    tastes: Tastes,
    catalogue: Catalogue,
    tables: Tables,
    user: NDArray[np.int64],
    occasion: NDArray[np.int64],
    item: NDArray[np.int32],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Rate 1 to 5: better the better the item fits and is made; shares as in the real file."""
    liking = np.empty(len(user), dtype=np.float32)
    for low in range(0, len(user), CHUNK):
        part = slice(low, low + CHUNK)
        chosen = item[part][:, None]
        fitting = fit(tastes, catalogue, tables, user[part], occasion[part], chosen)[:, 0]
        liking[part] = 0.4 * fitting + 0.5 * catalogue.quality[item[part]]
    liking += rng.normal(0, 0.8, len(user)).astype(np.float32)
    return 1 + np.searchsorted(np.quantile(liking, np.cumsum(RATING_SHARES)[:-1]), liking)
