"""Rates of what was shown: click-through, conversion, coverage, and what positions hide.

* ``ctr``: shown items that were clicked (or put into the cart, or bought), of all shown items;
* ``conversion``: those that were bought, of all shown items;
* ``coverage``: distinct items that were shown, of the catalogue;
* ``debiased_ctr``: the click-through rate as if all had stood first, by inverse propensity; see
  :mod:`beauty_rec.measures.position_bias`. Empty where positions do not vary enough to tell;
* ``greedy_ctr``: the click-through rate as if nothing had been left to chance, by the propensities
  that were logged; empty where nothing was;
* of a variant of an experiment also its ``difference`` in CTR from the control, with a confidence
  sequence, and ``p``: see :mod:`beauty_rec.measures.sequential`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.evaluation.block import none_if_nan
from beauty_rec.evaluation.online.outcomes import POSITIONS
from beauty_rec.measures.intervals import bootstrap_intervals
from beauty_rec.measures.position_bias import inverse_propensity, position_propensities
from beauty_rec.measures.sequential import RatioSums, compare_rates
from beauty_rec.recommender.online.experiments.file import Experiment

DIMENSIONS = ("all", "version", "variant", "order", "source", "position")
CHANCE = 0.5
"""A propensity below it is of a chance item: see :mod:`.recommender.online.experiments.explore`."""
SCHEMA: dict[str, Any] = {
    "kind": pl.String, "day": pl.Date, "dimension": pl.String, "value": pl.String,
    "answers": pl.Int64, "shown": pl.Int64, "clicks": pl.Int64, "purchases": pl.Int64,
    "ctr": pl.Float64, "ctr_low": pl.Float64, "ctr_high": pl.Float64,
    "conversion": pl.Float64, "conversion_low": pl.Float64, "conversion_high": pl.Float64,
    "items": pl.Int64, "coverage": pl.Float64,
    "propensity": pl.Float64, "debiased_ctr": pl.Float64, "debiased_low": pl.Float64,
    "debiased_high": pl.Float64, "effective": pl.Float64, "covered": pl.Float64,
    "clipped": pl.Float64,
    "greedy_ctr": pl.Float64, "greedy_low": pl.Float64, "greedy_high": pl.Float64,
    "difference": pl.Float64, "difference_low": pl.Float64, "difference_high": pl.Float64,
    "p": pl.Float64,
}  # fmt: skip


def online_rates(
    outcomes: pl.DataFrame,
    *,
    samples: int = 1_000,
    seed: int = 13,
    experiments: Mapping[str, Experiment] | None = None,
) -> pl.DataFrame:
    """Return the rates of each kind of answer, of all days and by day; no row where nothing was.

    Args:
        outcomes: of :func:`~beauty_rec.evaluation.online.outcomes.outcomes`.
        samples: of the bootstrap, which draws users whole.
        seed: of the bootstrap.
        experiments: those that began, by name.

    Returns:
        A row for each ``value`` of each ``dimension`` (``all``, ``version``, ``variant``,
        ``order``, ``source``, ``position``, and ``experiment`` with values such as
        ``name/variant``) with ``day`` null, and for each day one for ``all`` and each ``version``;
        debiased figures on rows of all days only; no ends of an interval where one user was shown
        all.
    """
    rows = list(_rows(outcomes, samples, seed, experiments or {}))
    return pl.DataFrame(rows, schema=SCHEMA)


def _rows(
    outcomes: pl.DataFrame, samples: int, seed: int, experiments: Mapping[str, Experiment]
) -> Iterator[dict[str, Any]]:
    for (kind,), shown in outcomes.group_by("kind", maintain_order=True):
        propensities = position_propensities(
            shown["unit"].to_numpy(),
            shown["place"].to_numpy(),
            shown["clicked"].to_numpy(),
            len(POSITIONS),
        )
        for dimension in DIMENSIONS:
            for value, part in _parts(shown, dimension):
                named = {"kind": kind, "day": None, "dimension": dimension, "value": value}
                if dimension == "position":
                    propensity = propensities[POSITIONS.index(value)]
                    named["propensity"] = float(propensity) if np.isfinite(propensity) else None
                rates = _rates(part, samples, seed)
                debiased = _debiased(part, propensities, samples, seed)
                yield named | rates | debiased | _greedy(part, samples, seed)
        for experiment in experiments.values():
            of_it = shown.filter(experiment=experiment.name)
            for value, part in _parts(of_it, "variant"):
                named = {"kind": kind, "day": None, "dimension": "experiment"}
                named["value"] = f"{experiment.name}/{value}"
                rates = _rates(part, samples, seed) | _greedy(part, samples, seed)
                yield named | rates | _compared(of_it, value, experiment)
        for (day,), of_day in shown.sort("day").group_by("day", maintain_order=True):
            for dimension in ("all", "version"):
                for value, part in _parts(of_day, dimension):
                    named = {"kind": kind, "day": day, "dimension": dimension, "value": value}
                    yield named | _rates(part, samples, seed)


def _parts(shown: pl.DataFrame, dimension: str) -> Iterator[tuple[str, pl.DataFrame]]:
    if dimension == "all":
        yield "all", shown
        return
    order = "place" if dimension == "position" else dimension
    for (value,), part in shown.sort(order).group_by(dimension, maintain_order=True):
        yield str(value), part


def _rates(part: pl.DataFrame, samples: int, seed: int) -> dict[str, Any]:
    values: NDArray[np.float64] = part.select("clicked", "bought").cast(pl.Float64).to_numpy()
    drawn = bootstrap_intervals(
        values, clusters=part["cluster"].to_numpy(), samples=samples, seed=seed
    )
    items, catalogue = part["parent_asin"].n_unique(), part["catalogue_items"].max()
    found: dict[str, Any] = {
        "answers": part["answer"].n_unique(),
        "shown": part.height,
        "clicks": int(values[:, 0].sum()),
        "purchases": int(values[:, 1].sum()),
        "items": items,
        "coverage": items / catalogue if isinstance(catalogue, int) and catalogue else None,
    }
    for column, (name, (low, high)) in enumerate(zip(("ctr", "conversion"), drawn, strict=True)):
        found[name] = float(values[:, column].mean())
        found |= {f"{name}_low": none_if_nan(low), f"{name}_high": none_if_nan(high)}
    return found


def _debiased(
    part: pl.DataFrame, propensities: NDArray[np.float64], samples: int, seed: int
) -> dict[str, Any]:
    found = inverse_propensity(
        part["clicked"].to_numpy(),
        propensities[part["place"].to_numpy()],
        part["cluster"].to_numpy(),
        samples=samples,
        seed=seed,
    )
    if found is None:
        return {}
    low, high = found.interval
    return {
        "debiased_ctr": found.value,
        "debiased_low": none_if_nan(low),
        "debiased_high": none_if_nan(high),
        "effective": found.effective,
        "covered": found.covered,
        "clipped": found.clipped,
    }


def _greedy(part: pl.DataFrame, samples: int, seed: int) -> dict[str, Any]:
    chosen = part["chosen"].to_numpy()
    if not (chosen < 1).any():
        return {}
    clicked = part["clicked"].to_numpy() & (chosen >= CHANCE)
    clusters = part["cluster"].to_numpy()
    found = inverse_propensity(clicked, chosen, clusters, samples=samples, seed=seed)
    if found is None:
        return {}
    low, high = found.interval
    return {
        "greedy_ctr": found.value,
        "greedy_low": none_if_nan(low),
        "greedy_high": none_if_nan(high),
    }


def _compared(shown: pl.DataFrame, variant: str, experiment: Experiment) -> dict[str, Any]:
    if variant == experiment.baseline or variant not in experiment.variants:
        return {}
    by_user = shown.group_by("variant", "cluster").agg(
        x=pl.len().cast(pl.Float64), y=pl.col("clicked").sum().cast(pl.Float64)
    )
    sums = []
    for name in (variant, experiment.baseline):
        x, y = by_user.filter(variant=name).select("x", "y").to_numpy().T
        sums.append(RatioSums(len(x), y.sum(), x.sum(), y @ y, x @ x, x @ y))
    found = compare_rates(
        *sums,
        expected_lift=experiment.expected_lift,
        alpha=experiment.alpha,
        comparisons=len(experiment.variants) - 1,
        least_users=experiment.minimum_users,
    )
    if not found.decides:
        return {"p": 1.0}
    low, high = found.interval
    return {
        "difference": found.difference,
        "difference_low": low,
        "difference_high": high,
        "p": found.p,
    }


def online_block(rates: pl.DataFrame) -> dict[str, Any]:
    """Return the rates as a block of ``report.json``: kind → dimension → value → figures.

    Of all days together, with the first and the last of them; empty where nothing was shown.
    """
    if rates.is_empty():
        return {}
    found: dict[str, Any] = {
        "days": [str(rates["day"].min()), str(rates["day"].max())],
    }
    for row in rates.filter(pl.col("day").is_null()).iter_rows(named=True):
        figures = {name: row[name] for name in SCHEMA if name not in ("kind", "day", "dimension")}
        value = figures.pop("value")
        known = {name: figure for name, figure in figures.items() if figure is not None}
        found.setdefault(row["kind"], {}).setdefault(row["dimension"], {})[value] = known
    return found
