"""The file of a shop's rules: what it may say, and what is wrong with one that is not valid.

>>> text = '[[rules]]\\nname = "a"\\ndo = "pin"\\nplace = 1\\nitems = ["B1"]'
>>> parse_rules(text, "rules.toml")[0].do
'pin'
"""

import re
import tomllib
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from beauty_rec.recommender.online.stock.filters import ANYTHING, Filter
from beauty_rec.recommender.online.values import Id, Label, Model
from beauty_rec.recommender.orders import Kind

MAX_RULES = 200
MAX_PLACE = 100
"""The last place that a pin or a cap may speak of."""
MAX_BYTES = 1_000_000
_HEAD = re.compile(r"^\s*\[\[\s*rules\s*\]\]", re.MULTILINE)


def _written(value: Any) -> Any:
    """Return a moment that is given as such or as text.

    A number is none: as seconds 20260301 would be a day of 1970, and its rule at work at once.
    """
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    if value is not None and not isinstance(value, datetime):
        raise ValueError("write it as 2026-03-01T00:00:00+01:00")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_written)]
Factor = Annotated[float, Field(gt=1, le=1_000, allow_inf_nan=False)]


class RulesError(ValueError):
    """A file of rules that is not valid; the message names the file, the place and the remedy."""


class When(Model):
    """Which asks a rule speaks of; what is not named may be anything."""

    context: bool | None = Field(None, description="asks that have a context, or have none")
    user: bool | None = Field(None, description="asks of a user by id, or of nobody")
    kind: list[Kind] | None = Field(None, min_length=1, description="kinds of ask: see /version")


class Rule(Model):
    """What every rule says: its name, which items and asks it is of, and its time."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    name: Label
    filter: Filter | None = None
    items: list[Id] | None = Field(None, min_length=1, max_length=1_000)
    from_: Moment | None = Field(None, alias="from", description="ISO 8601 with a zone")
    until: Moment | None = None
    when: When = When()

    @model_validator(mode="after")
    def _whole(self) -> "Rule":
        if self.from_ and self.until and self.from_ >= self.until:
            raise ValueError("until is not after from")
        if self.needs_items and (self.filter in (None, ANYTHING)) == (self.items is None):
            raise ValueError("a rule needs a filter that names something, or items, and not both")
        return self

    @property
    def needs_items(self) -> bool:
        """Whether the rule is of some items alone."""
        return True

    def is_in_time(self, at: datetime) -> bool:
        """Whether a moment lies between ``from`` and ``until``."""
        began = self.from_ is None or self.from_ <= at
        return began and (self.until is None or at < self.until)

    def is_on(self, at_ms: int, *, context: bool, user: bool, kind: Kind) -> bool:
        """Whether the rule speaks of an ask of a moment, Unix ms."""
        when = self.when
        return (
            self.is_in_time(datetime.fromtimestamp(at_ms / 1000, UTC))
            and when.context in (None, context)
            and when.user in (None, user)
            and (when.kind is None or kind in when.kind)
        )


class Pin(Rule):
    """The best of the items stands at ``place``."""

    do: Literal["pin"]
    place: int = Field(ge=1, le=MAX_PLACE)


class Boost(Rule):
    """The items stand ``factor`` times further up: from place 20 to 10, by 2."""

    do: Literal["boost"]
    factor: Factor


class Bury(Rule):
    """The items stand ``factor`` times further down."""

    do: Literal["bury"]
    factor: Factor


class Exclude(Rule):
    """The items are not recommended."""

    do: Literal["exclude"]


class Cap(Rule):
    """Of each ``by`` at most ``most`` items stand in the ``first`` places."""

    do: Literal["cap"]
    by: Literal["brand", "category", "store"]
    most: int = Field(ge=1, le=MAX_PLACE)
    first: int = Field(10, ge=1, le=MAX_PLACE)

    @field_validator("filter", "items")
    @classmethod
    def _of_all(cls, value: Any) -> Any:
        if value is not None:
            raise ValueError("a cap is of all items: leave it out")
        return value

    @property
    def needs_items(self) -> bool:
        """It is of all items."""
        return False


AnyRule = Annotated[Pin | Boost | Bury | Exclude | Cap, Field(discriminator="do")]


class RulesFile(Model):
    """The whole file; the order of the rules decides between those of one place."""

    rules: list[AnyRule] = Field([], max_length=MAX_RULES)


def parse_rules(text: str, where: str) -> list[AnyRule]:
    """Return the rules of a file's text.

    Args:
        text: TOML.
        where: the file, for messages.

    Raises:
        RulesError: it is not valid.
    """
    try:
        rules = RulesFile.model_validate(tomllib.loads(text)).rules
    except tomllib.TOMLDecodeError as error:
        raise RulesError(f"{where}: not TOML: {error}; correct that line") from None
    except RecursionError:
        raise RulesError(f"{where}: too many levels of tables and lists") from None
    except ValidationError as error:
        faults = [_fault(where, text, fault["loc"], fault["msg"]) for fault in error.errors()[:5]]
        raise RulesError("; ".join(faults)) from None
    twice = [name for name, count in Counter(rule.name for rule in rules).items() if count > 1]
    if twice:
        number = [rule.name for rule in rules].index(twice[0])
        raise RulesError(_fault(where, text, ("rules", number, "name"),
                                f"{twice[0]!r} is the name of two rules; rename one"))  # fmt: skip
    return list(rules)


def refusal(where: str, text: str, number: int, message: str) -> RulesError:
    """Return what is said of a rule, by its number from 0, that does not fit the shop."""
    return RulesError(_fault(where, text, ("rules", number), message))


def _fault(where: str, text: str, place: tuple[int | str, ...], message: str) -> str:
    heads = [text.count("\n", 0, found.end()) + 1 for found in _HEAD.finditer(text)]
    line = ""
    if len(place) > 1 and isinstance(place[1], int) and place[1] < len(heads):
        line = f" line {heads[place[1]]}"
    return f"{where}{line}: {'.'.join(map(str, place)) or 'rules'}: {message}"
