"""The word tables of the sample (``products.toml``), with names turned into indices."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Value:
    """One value of a facet: how titles say it, how people say it, and at which age it counts."""

    name: str
    words: tuple[str, ...]
    age: tuple[float, float, float]
    ingredients: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facet:
    """A kind of segment (``skin``, ``hair``, …) or of concern (``face``, ``strands``, …)."""

    kind: str
    values: tuple[Value, ...]
    title: str = "{}"
    detail: str = ""
    mood: bool = False

    @property
    def loved(self) -> bool:
        """Whether people love the values ("floral scents") rather than have them ("dry skin")."""
        return self.kind in ("look", "note")


@dataclass(frozen=True)
class ProductType:
    """What is sold: the noun of titles, the names in reviews, the forms it comes in."""

    noun: str
    names: tuple[str, ...]
    forms: tuple[str, ...]


@dataclass(frozen=True)
class Department:
    """Product types that share who they are for and what they are against."""

    name: str
    segment: int
    concern: int
    scented: float
    sizes: str
    appeal: tuple[float, float]
    age: tuple[float, float, float]
    types: tuple[ProductType, ...]


@dataclass(frozen=True)
class Occasion:
    """When a product is for: the ``context`` of a review, and what its text says."""

    name: str
    context: tuple[str, ...]
    words: tuple[str, ...]
    departments: tuple[int, ...]


@dataclass(frozen=True)
class Tables:
    """All of ``products.toml``."""

    segments: tuple[Facet, ...]
    concerns: tuple[Facet, ...]
    departments: tuple[Department, ...]
    occasions: tuple[Occasion, ...]
    scents: tuple[tuple[str, str], ...]
    colors: tuple[str, ...]
    textures: dict[str, str]
    quirks: dict[str, list[tuple[str, str]]]
    """By :attr:`Department.sizes`: what reviewers like and dislike about one item."""
    brand_parts: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]

    @property
    def unscented(self) -> int:
        """The index of the scent that is none."""
        return len(self.scents) - 1


def age_weights(values: tuple[Value, ...]) -> NDArray[np.float64]:
    """Return ``[3, V]``: for each age band, the chance of each value."""
    weights = np.array([value.age for value in values], dtype=np.float64).T
    found: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return found


@cache
def load_tables() -> Tables:
    """Read ``products.toml`` once."""
    text = resources.files(__package__).joinpath("products.toml").read_text(encoding="utf-8")
    raw = tomllib.loads(text)
    segments, concerns = list(raw["segments"]), list(raw["concerns"])
    departments = list(raw["departments"])
    return Tables(
        segments=tuple(_facet(kind, raw["segments"][kind], "name") for kind in segments),
        concerns=tuple(_facet(kind, raw["concerns"][kind], "claim") for kind in concerns),
        departments=tuple(
            Department(
                name=name,
                segment=segments.index(row["segment"]),
                concern=concerns.index(row["concern"]),
                scented=row["scented"],
                sizes=row["sizes"],
                appeal=(row["women"], row["men"]),
                age=tuple(row["age"]),
                types=tuple(ProductType(n, tuple(a), tuple(f)) for n, a, f in row["types"]),
            )
            for name, row in raw["departments"].items()
        ),
        occasions=tuple(
            Occasion(
                name=row["name"],
                context=tuple(row["context"]),
                words=tuple(row["words"]),
                departments=tuple(departments.index(name) for name in row["departments"]),
            )
            for row in raw["occasions"]
        ),
        scents=tuple((title, words) for title, words in raw["tables"]["scents"]),
        colors=tuple(raw["tables"]["colors"]),
        textures=dict(raw["tables"]["textures"]),
        quirks={
            sizes: [(good, bad) for good, bad, on in raw["tables"]["quirks"] if sizes[0] in on]
            for sizes in ("volume", "count", "shade")
        },
        brand_parts=(
            tuple(raw["tables"]["brand_starts"]),
            tuple(raw["tables"]["brand_middles"]),
            tuple(raw["tables"]["brand_ends"]),
        ),
    )


def _facet(kind: str, row: dict[str, Any], name: str) -> Facet:
    values = tuple(
        Value(v[name], tuple(v["words"]), tuple(v["age"]), tuple(v.get("ingredients", ())))
        for v in row["values"]
    )
    return Facet(
        kind, values, row.get("title", "{}"), row.get("detail", ""), row.get("mood", False)
    )
