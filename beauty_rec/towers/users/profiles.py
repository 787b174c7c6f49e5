"""User profiles as vectors: z-scored numbers with missing flags, one place per text value."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.measures.outliers import believable

MAX_VALUES = 20
"""A text column with more values than this is an open field and is left out."""

CLIP = 3.0
"""Standard deviations beyond which a number is an entry error more often than a person."""


@dataclass(frozen=True)
class ProfileEncoder:
    """Train's means and deviations of the numeric columns, and the values of the text columns."""

    numeric: list[str]
    mean: list[float]
    deviation: list[float]
    values: dict[str, list[str]]

    @classmethod
    def fit(cls, profiles: pl.DataFrame, users: Sequence[str]) -> "ProfileEncoder":
        """Learn from the profiles of ``users`` (those of the training events) alone."""
        known = profiles.filter(pl.col("user_id").is_in(list(users)))
        columns = [c for c in profiles.columns if c != "user_id"]
        numeric = [c for c in columns if profiles[c].dtype.is_numeric()]
        numbers = [_finite(known[c]) for c in numeric]
        numbers = [x[~np.isnan(x)] for x in numbers]
        numbers = [np.clip(x, *believable(x)) for x in numbers]
        values = {
            c: sorted(known[c].alias("value").drop_nulls().unique().to_list())
            for c in columns
            if profiles[c].dtype == pl.String
        }
        return cls(
            numeric,
            [float(x.mean()) if len(x) else 0.0 for x in numbers],
            [float(x.std()) if len(x) and x.std() > 0 else 1.0 for x in numbers],
            {c: v for c, v in values.items() if 1 < len(v) <= MAX_VALUES},
        )

    @property
    def width(self) -> int:
        """P: two places per number (z, missing), one per text value."""
        return 2 * len(self.numeric) + sum(len(v) for v in self.values.values())

    def encode(self, people: pl.DataFrame) -> NDArray[np.float32]:
        """Return float32 ``[n, P]``. Null, NaN and infinite are missing: z 0 and flag 1.

        An unknown text value, and a column that ``people`` lacks, is missing as well.
        """
        n = len(people)
        out = [np.zeros((n, 0), np.float32)]
        for name, mean, deviation in zip(self.numeric, self.mean, self.deviation, strict=True):
            x = _finite(people[name]) if name in people.columns else np.full(n, np.nan)
            missing = np.isnan(x)
            z = np.clip(np.where(missing, 0, (x - mean) / deviation), -CLIP, CLIP)
            out.append(np.stack([z, missing], axis=1))
        for name, values in self.values.items():
            texts = people[name].to_numpy() if name in people.columns else np.full(n, None)
            out.append(texts[:, None] == np.array(values, dtype=object))
        return np.concatenate(out, axis=1).astype(np.float32)

    def encode_plain(self, people: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
        """Return float32 ``[n, P]`` of people who are given as column → value."""
        numbers = [[person.get(name) for name in self.numeric] for person in people]
        shape = (len(people), len(self.numeric))
        x = np.array([_number(v) for row in numbers for v in row], np.float64).reshape(shape)
        missing = ~np.isfinite(x)
        z = (np.where(missing, 0, x) - np.array(self.mean)) / np.array(self.deviation)
        pairs = np.stack([np.clip(np.where(missing, 0, z), -CLIP, CLIP), missing], axis=2)
        known = [(name, v) for name, values in self.values.items() for v in values]
        same = [person.get(name) == v for person in people for name, v in known]
        parts = [pairs.reshape(len(people), -1), np.reshape(same, (len(people), len(known)))]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def known(self, encoded: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return bool ``[n]``: whether a row of :meth:`encode` holds anything at all."""
        flags = encoded[:, 1 : 2 * len(self.numeric) : 2]
        found: NDArray[np.bool_] = (flags == 0).any(axis=1) | (
            encoded[:, 2 * len(self.numeric) :] > 0
        ).any(axis=1)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return what :meth:`from_json` takes back."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "ProfileEncoder":
        """Return the encoder that :meth:`to_json` described."""
        return cls(**kept)


def align(profiles: pl.DataFrame, users: Sequence[str]) -> pl.DataFrame:
    """Return one row per user of ``users``, in that order; nulls where there is no profile."""
    wanted = pl.DataFrame({"user_id": list(users)}, schema={"user_id": pl.String})
    unique = profiles.unique("user_id", keep="first")
    return wanted.join(unique, on="user_id", how="left", maintain_order="left")


def _number(value: object) -> float:
    """Return what a frame reads a value as; NaN where it is no number."""
    if value is None or isinstance(value, int | float):
        return np.nan if value is None else float(value)
    return float(_finite(pl.Series([value], strict=False))[0])


def _finite(column: pl.Series) -> NDArray[np.float64]:
    x = column.alias("value").cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy().copy()
    x[~np.isfinite(x)] = np.nan
    return x
