"""The file of an experiment: what it may say, and what is wrong with one that is not valid.

>>> text = 'name = "a"\\n[variants.now]\\nshare = 0.5\\n[variants.bold]\\nshare = 0.5'
>>> parse_experiment(text, "a.toml").variant_of("ann")
'bold'
"""

import hashlib
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Literal, cast, get_args

from pydantic import BaseModel, Field, StringConstraints, ValidationError, model_validator

from beauty_rec.recommender.online.values import Model
from beauty_rec.recommender.orders import KINDS, ORDERS, Kind

MAX_VARIANTS = 10
MAX_BYTES = 100_000
DEFAULT_VARIANT = "default"
"""Of answers that belong to no experiment; no variant of one may be called so."""
SHARES_TOLERANCE = 1e-6

Metric = Literal["ctr", "conversion"]
METRICS: tuple[Metric, ...] = get_args(Metric)
Name = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class ExperimentError(ValueError):
    """A file that describes no experiment; the message names the file, the place and the remedy."""


class AnswerSettings(Model):
    """What may be other in the answers of a variant; what is not named is as it is served."""

    order: str | dict[str, str] | None = Field(None, description="of all kinds of ask, or of some")
    diversity: float | None = Field(None, ge=0, le=1, description="as serve.diversity")
    source_depth: int | None = Field(None, ge=1, le=1_000, description="as serve.source_depth")
    explore: float | None = Field(
        None, ge=0, le=0.4, description="share of answers in which one place has a chance item"
    )

    @model_validator(mode="after")
    def _known_orders(self) -> "AnswerSettings":
        for kind, order in self.orders.items():
            if kind not in KINDS:
                raise ValueError(f"order: no kind of ask {kind!r}{remedy(kind, KINDS)}")
            if order not in ORDERS:
                raise ValueError(f"order: no such order {order!r}{remedy(order, ORDERS)}")
        return self

    @property
    def orders(self) -> Mapping[Kind, str]:
        """The order of each kind of ask that is named."""
        if self.order is None:
            return {}
        if isinstance(self.order, str):
            return dict.fromkeys(KINDS, self.order)
        return cast(Mapping[Kind, str], self.order)

    @property
    def said(self) -> dict[str, object]:
        """What differs from what is served, as plain values."""
        whole = self.model_dump(mode="json", exclude_defaults=True)
        return {name: whole[name] for name in AnswerSettings.model_fields if name in whole}

    @property
    def alone(self) -> "AnswerSettings":
        """The settings without what a variant says beside them."""
        return AnswerSettings(**{name: getattr(self, name) for name in AnswerSettings.model_fields})


class Variant(AnswerSettings):
    """One of what users are split between; ``set`` unset: the set that is served."""

    share: Share
    set: str | None = None


class Shadow(Variant):
    """What answers too and is logged, never shown; ``share`` of the recommendations."""

    name: Name
    share: Share = 1.0


class Experiment(Model):
    """The whole file; the order of the variants is that of the split."""

    name: Name
    metric: Metric = "ctr"
    alpha: float = Field(0.05, gt=0, lt=0.5)
    expected_lift: float = Field(0.2, gt=0, le=10)
    minimum_users: int = Field(100, ge=2, le=10_000_000)
    control: Name | None = None
    variants: dict[Name, Variant] = Field(min_length=1, max_length=MAX_VARIANTS)
    shadow: Shadow | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Experiment":
        total = math.fsum(variant.share for variant in self.variants.values())
        if abs(total - 1) > SHARES_TOLERANCE:
            raise ValueError(f"the shares of the variants sum to {total:g}, not to 1")
        names = [*self.variants, *([self.shadow.name] if self.shadow else [])]
        if DEFAULT_VARIANT in names:
            raise ValueError(f"{DEFAULT_VARIANT!r} means outside of the experiment; rename it")
        if len(set(names)) < len(names):
            raise ValueError("the shadow has the name of a variant; rename one")
        if self.control is not None and self.control not in self.variants:
            raise ValueError(
                f"control: no variant {self.control!r}{remedy(self.control, self.variants)}"
            )
        return self

    @property
    def baseline(self) -> str:
        """The variant that the others are compared with."""
        return self.control or next(iter(self.variants))

    @property
    def parts(self) -> Iterator[tuple[str, Variant]]:
        """The variants and the shadow, by name."""
        yield from self.variants.items()
        if self.shadow is not None:
            yield self.shadow.name, self.shadow

    def variant_of(self, user_id: str) -> str:
        """Return the variant of a user: always the same one, whatever else happens."""
        place, reached = place_of(self.name, user_id), 0.0
        for name, variant in self.variants.items():
            reached += variant.share
            if place < reached:
                return name
        return name  # the shares sum to a little less than 1


def place_of(salt: str, user_id: str) -> float:
    """Return where a user stands between 0 and 1: 64 bits of SHA-256, evenly spread."""
    digest = hashlib.sha256(f"{salt}\0{user_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def parse_experiment(text: str, where: str) -> Experiment:
    """Return the experiment of a file's text.

    Args:
        text: TOML.
        where: the file, for messages.

    Raises:
        ExperimentError: it is not valid.
    """
    if len(text) > MAX_BYTES:
        raise ExperimentError(f"{where}: more than {MAX_BYTES:,} characters; shorten it")
    try:
        plain = text.removeprefix("\ufeff")  # a mark, by which editors of Windows begin a file
        return Experiment.model_validate(tomllib.loads(plain))
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError(f"{where}: not TOML: {error}; correct that line") from None
    except RecursionError:
        raise ExperimentError(f"{where}: too many levels of tables and lists") from None
    except ValidationError as error:
        faults = [_fault(fault["loc"], fault["msg"], fault["type"]) for fault in error.errors()[:5]]
        raise ExperimentError(f"{where}: {'; '.join(faults)}") from None


def _fault(place: tuple[int | str, ...], message: str, kind: str) -> str:
    if kind == "extra_forbidden":
        model: type[BaseModel] = Experiment
        if len(place) > 1:
            model = Variant if place[0] == "variants" else Shadow
        message = f"no such field{remedy(str(place[-1]), model.model_fields)}"
    said = message.removeprefix("Value error, ")
    where = ".".join(map(str, place))
    return f"{where}: {said}" if where else said


def remedy(name: str, known: Iterable[str]) -> str:
    """Return the nearest known names, and all of them, as the end of a message."""
    names = list(known)
    found = get_close_matches(name, names, 3, 0.5)
    near = f"; the nearest known: {', '.join(found)}" if found else ""
    return f"{near}; known: {', '.join(names) or 'none'}"
