"""What is sold: items with facets, brands, appeal and a launch date."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beauty_rec.sample.tables import Tables

DAY_MS = 86_400_000  # of its own: the sample is written without the libraries of events/
START_MS = 1_420_070_400_000
"""2015-01-01 UTC."""
END_MS = 1_693_526_400_000
"""2023-09-01 UTC."""
ITEMS_PER_BRAND = 9


@dataclass(frozen=True)
class Brands:
    """Brand ``b`` is row ``b``."""

    name: list[str]
    quality: NDArray[np.float32]
    price_level: NDArray[np.int8]


@dataclass(frozen=True)
class Catalogue:
    """Item ``i`` is row ``i``; facets are indices into the tables' values, -1: none."""

    department: NDArray[np.int8]
    type: NDArray[np.int8]
    segment: NDArray[np.int8]
    """Of the department's kind; -1: for everyone."""
    concern: NDArray[np.int8]
    scent: NDArray[np.int8]
    form: NDArray[np.int8]
    color: NDArray[np.int8]
    ingredient: NDArray[np.int8]
    occasion: NDArray[np.int8]
    """0 (everyday) for most."""
    price_level: NDArray[np.int8]
    quirk: NDArray[np.int8]
    brand: NDArray[np.int32]
    appeal: NDArray[np.float32]
    quality: NDArray[np.float32]
    launch_ms: NDArray[np.int64]
    fade_ms: NDArray[np.float64]
    """After how long the interest in a launched item falls to 1/e of its start."""
    brands: Brands

    def __len__(self) -> int:
        return len(self.brand)

    def interest(self, time_ms: float) -> NDArray[np.float64]:
        """Return ``[N]``: how popular each item is at a time; 0 before its launch."""
        age = time_ms - self.launch_ms
        return np.where(
            age < 0, 0.0, self.appeal * (0.2 + np.exp(-np.maximum(age, 0) / self.fade_ms))
        )


def make_catalogue(count: int, tables: Tables, rng: np.random.Generator) -> Catalogue:
    """Draw ``count`` items. Every department has one that was sold before the first review."""
    brands = _make_brands(max(4, count // ITEMS_PER_BRAND), tables, rng)
    size = len(brands.name)
    home = rng.integers(0, len(tables.departments), (size, 2))
    speciality = rng.integers(0, 64, (size, 4))  # taken modulo the number of values of a facet
    brand = (size * rng.random(count) ** 1.8).astype(np.int32)  # a few big ones, many small ones

    departments = np.where(
        rng.random(count) < 0.75,
        home[brand, rng.integers(0, 2, count)],
        rng.integers(0, len(tables.departments), count),
    )
    first = min(count, len(tables.departments))
    departments[:first] = np.arange(first)

    def facet(column: int, sizes: NDArray[np.int64], loyal: float) -> NDArray[np.int8]:
        own = speciality[brand, column] % sizes
        drawn = (rng.random(count) * sizes).astype(np.int64)
        return np.where(rng.random(count) < loyal, own, drawn).astype(np.int8)

    def per_department(sizes: list[int]) -> NDArray[np.int64]:
        return np.array(sizes, dtype=np.int64)[departments]

    types = facet(0, per_department([len(d.types) for d in tables.departments]), 0.0)
    segment = facet(
        1, per_department([len(tables.segments[d.segment].values) for d in tables.departments]), 0.3
    )
    concern = facet(
        2, per_department([len(tables.concerns[d.concern].values) for d in tables.departments]), 0.2
    )
    scented = rng.random(count) < np.array([d.scented for d in tables.departments])[departments]
    scent = facet(3, np.full(count, len(tables.scents)), 0.25)
    plain = [tables.unscented if d.scented > 0 else -1 for d in tables.departments]
    shaded = np.array([d.sizes == "shade" or d.scented == 0 for d in tables.departments])
    before = START_MS - 400 * DAY_MS
    launch = np.where(
        rng.random(count) < 0.45, before, START_MS + rng.random(count) ** 0.9 * (END_MS - START_MS)
    ).astype(np.int64)
    launch[:first] = before
    return Catalogue(
        department=departments.astype(np.int8),
        type=types,
        segment=np.where(rng.random(count) < 0.1, -1, segment).astype(np.int8),
        concern=concern,
        scent=np.where(scented, scent, np.array(plain)[departments]).astype(np.int8),
        form=rng.integers(0, 60, count).astype(np.int8),
        color=np.where(shaded[departments], rng.integers(0, len(tables.colors), count), -1).astype(
            np.int8
        ),
        ingredient=np.where(rng.random(count) < 0.75, rng.integers(0, 60, count), -1).astype(
            np.int8
        ),
        occasion=np.where(
            rng.random(count) < 0.5, 0, rng.integers(1, len(tables.occasions), count)
        ).astype(np.int8),
        price_level=np.clip(
            brands.price_level[brand] + rng.choice([-1, 0, 0, 0, 1], count), 0, 2
        ).astype(np.int8),
        quirk=rng.integers(0, 100, count).astype(np.int8),
        brand=brand,
        appeal=rng.lognormal(0, 0.6, count).astype(np.float32),
        quality=(0.6 * brands.quality[brand] + rng.normal(0, 0.8, count)).astype(np.float32),
        launch_ms=launch,
        fade_ms=rng.lognormal(np.log(1.3), 0.6, count) * 365 * DAY_MS,
        brands=brands,
    )


def _make_brands(count: int, tables: Tables, rng: np.random.Generator) -> Brands:
    starts, middles, ends = tables.brand_parts
    radix = (len(starts), len(middles), len(ends))
    codes = rng.permutation(int(np.prod(radix)))
    if count > len(codes):  # more brands than names: the rest share them, as in life
        codes = np.resize(codes, count)
    parts = np.stack(np.unravel_index(codes[:count], radix), axis=1).tolist()
    return Brands(
        name=[starts[a] + middles[b] + ends[c] for a, b, c in parts],
        quality=rng.normal(0, 1, count).astype(np.float32),
        price_level=rng.choice(3, count, p=[0.45, 0.38, 0.17]).astype(np.int8),
    )
