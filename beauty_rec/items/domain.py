"""A domain: which attributes an item has, and the words that tell them. Data, not code.

``beauty`` and ``fashion`` ship as TOML beside this file; any other file of that layout will do.
STD (standard) fields are closed and hold one value; RE (reinforced) fields are open and hold many.
"""

import tomllib
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

SHIPPED = ("beauty", "fashion")
RESERVED = frozenset({"parent_asin", "summary", "source", "keywords", "re"})


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StdField(_Part):
    """A closed field with one value, or the brand."""

    kind: Literal["closed", "brand"] = "closed"
    values: dict[str, list[str]] = Field({}, description="value: further phrases that tell it")
    details: list[str] = Field([], description="keys of an item's `details` that state it")
    column: str | None = Field(None, description="a column of the items that may name it")
    pick: Literal["first", "head"] = Field(
        "first", description="head: what a title is about stands last in its first part"
    )
    mixed: str | None = Field(None, description="the value when one text tells several")

    @property
    def phrases(self) -> dict[str, list[str]]:
        """Value: the phrases that tell it."""
        return {value: [value, *given] for value, given in self.values.items()}

    @model_validator(mode="after")
    def _check(self) -> "StdField":
        if self.kind == "closed" and not self.values:
            raise ValueError("a closed field needs values")
        if self.mixed is not None and self.mixed not in self.values:
            raise ValueError(f"mixed = {self.mixed!r} is none of the values")
        return self


class ReField(_Part):
    """An open field with many values; the lexicon is where the rules start from."""

    values: dict[str, list[str]] = {}
    details: list[str] = []
    named: bool = Field(
        True, description="a value's own name tells it; false where the names are common words"
    )

    @property
    def phrases(self) -> dict[str, list[str]]:
        """Value: the phrases that tell it in running text."""
        return {value: [*([value] * self.named), *given] for value, given in self.values.items()}


class Domain(_Part):
    """The attributes of one kind of shop, in the order of the file."""

    name: str
    std: dict[str, StdField]
    re: dict[str, ReField]

    @model_validator(mode="after")
    def _check(self) -> "Domain":
        names = [*self.std, *self.re]
        twice = {
            name
            for name in names
            if names.count(name) > 1 or name in RESERVED or name.startswith(("_", "model_"))
        }
        if twice:
            raise ValueError(f"field names taken or used twice: {sorted(twice)}")
        return self


def load_domain(name: str) -> Domain:
    """Read a shipped domain by its name, or a TOML file by its path.

    Raises:
        ValueError: there is no such domain, or the file is not a domain; the message says which.
    """
    shipped = files("beauty_rec.items") / "domains"
    file: Traversable = shipped / f"{name}.toml" if name in SHIPPED else Path(name)
    if not file.is_file():
        raise ValueError(f"no domain {name!r}: give one of {', '.join(SHIPPED)} or a TOML file")
    try:
        return Domain.model_validate(tomllib.loads(file.read_text("utf-8-sig")))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"domain {name!r}: {error}") from error
