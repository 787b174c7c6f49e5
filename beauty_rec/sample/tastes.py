"""Who buys: people with latent tastes, and the profiles that show a part of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beauty_rec.sample.tables import Tables, age_weights

FAVOURITES = (0.7, 0.2, 0.04)
"""Shares of a person's purchases in the favourite departments; the rest is spread over all."""
PROFILES = 0.75
"""Share of the people who have a profile."""
OCCASION_LIFT = 2.5
"""How much more a department is bought for an occasion that it suits."""


@dataclass(frozen=True)
class Tastes:
    """Person ``i`` is row ``i``; facets are indices into the tables' values."""

    man: NDArray[np.bool_]
    age: NDArray[np.int16]
    height_cm: NDArray[np.float32]
    weight_kg: NDArray[np.float32]
    segments: NDArray[np.int8]
    """``[U, kinds of segment]``"""
    concerns: NDArray[np.int8]
    """``[U, kinds of concern, 2]``: the first and the second concern of each kind."""
    scent: NDArray[np.int8]
    budget: NDArray[np.int8]
    """0 (cheap) to 2 (luxury)."""
    occasion: NDArray[np.int8]
    """The person's own occasion beside everyday life."""
    departments: NDArray[np.float32]
    """``[U, departments]``: shares of the purchases."""

    def __len__(self) -> int:
        return len(self.age)


def draw(weights: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw one column of each row of ``[N, V]`` weights, in proportion."""
    cumulative = np.cumsum(weights, axis=1)
    found: NDArray[np.int64] = (
        cumulative < rng.random((len(weights), 1)) * cumulative[:, -1:]
    ).sum(axis=1)
    return found


def make_tastes(count: int, tables: Tables, rng: np.random.Generator) -> Tastes:
    """Draw ``count`` people. Age weighs segments, concerns and departments; gender the last."""
    man = rng.random(count) < 0.24
    age = np.clip(rng.gamma(7.0, 4.0, count) + 12, 16, 85).astype(np.int16)
    band = np.digitize(age, [30, 51])
    segments = [draw(age_weights(facet.values)[band], rng) for facet in tables.segments]
    concerns = []
    for facet in tables.concerns:
        weights = age_weights(facet.values)[band]
        first = draw(weights, rng)
        weights[np.arange(count), first] = 0
        concerns.append(np.stack([first, draw(weights, rng)], axis=1))
    height = np.where(man, 177, 163.5) + rng.normal(0, 6.8, count)
    mass_index = rng.lognormal(np.log(24.5), 0.16, count) + (age - 35) * 0.04
    return Tastes(
        man=man,
        age=age,
        height_cm=height.astype(np.float32),
        weight_kg=(mass_index * (height / 100) ** 2).astype(np.float32),
        segments=np.stack(segments, axis=1).astype(np.int8),
        concerns=np.stack(concerns, axis=1).astype(np.int8),
        scent=rng.integers(0, len(tables.scents), count).astype(np.int8),
        budget=np.digitize(rng.normal(age / 30, 1), [0.6, 1.9]).astype(np.int8),
        occasion=rng.integers(0, len(tables.occasions), count).astype(np.int8),
        departments=_departments(man, band, tables, rng),
    )


def _departments(
    man: NDArray[np.bool_], band: NDArray[np.int64], tables: Tables, rng: np.random.Generator
) -> NDArray[np.float32]:
    appeal = np.array([d.appeal for d in tables.departments])[:, man.astype(np.int64)].T
    weights = appeal * np.array([d.age for d in tables.departments])[:, band].T
    shares = weights / weights.sum(axis=1, keepdims=True) * (1 - sum(FAVOURITES))
    for share in FAVOURITES:
        chosen = draw(weights, rng)
        shares[np.arange(len(man)), chosen] += share
        weights[np.arange(len(man)), chosen] = 0
    found: NDArray[np.float32] = shares.astype(np.float32)
    return found


def profile_rows(
    tastes: Tastes, user_ids: list[str], people: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """Yield the profiles of ``people``; about a sixth of the fields is null."""
    given = rng.random((len(people), 3)) > (0.12, 0.22, 0.15)
    for row, i in enumerate(people.tolist()):
        height, weight, age = given[row].tolist()
        yield {
            "user_id": user_ids[i],
            "height_cm": round(float(tastes.height_cm[i]), 1) if height else None,
            "weight_kg": round(float(tastes.weight_kg[i]), 1) if weight else None,
            "age": int(tastes.age[i]) if age else None,
        }
