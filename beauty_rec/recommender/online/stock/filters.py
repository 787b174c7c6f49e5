"""What an item has to be: one filter language for HTTP, the command line and the shop's rules.

>>> Filter.model_validate({"brand": ["a", "b"], "not": {"price": {"max": 5}}}).brand
['a', 'b']
"""

import json
import re
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from beauty_rec.corpus.ids import PLAIN
from beauty_rec.recommender.online.values import Label, Model, Number, Price

MAX_PARTS = 1_000
"""Names and values of a filter, all of its clauses together."""
MAX_DEPTH = 16
"""Objects and lists within one another: seven filters."""
MAX_TEXT = 8_000
"""Characters of a filter that is written as text."""
_NAME = re.compile(PLAIN)


def _kind(value: object) -> str:
    return "list" if isinstance(value, list) else "value"


MAX_NODE = 500
"""Characters of a node of the category tree."""
Node = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NODE, pattern=PLAIN)
]


Labels = Annotated[
    Annotated[Label, Tag("value")]
    | Annotated[list[Label], Field(min_length=1, max_length=MAX_PARTS), Tag("list")],
    Discriminator(_kind),
]
"""A value, or several of which any will do; case does not count."""


Nodes = Annotated[
    Annotated[Node, Tag("value")]
    | Annotated[list[Node], Field(min_length=1, max_length=MAX_PARTS), Tag("list")],
    Discriminator(_kind),
]


class Range(Model):
    """Bounds of a number, both of them included."""

    min: Number | None = None
    max: Number | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> "Range":
        if self.min is None and self.max is None:
            raise ValueError("a range needs min or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is larger than max")
        return self


class Filter(BaseModel):
    """What an item has to be: all that is named holds; nothing named: anything passes.

    Any other name is an attribute of the catalogue, as an item's ``attributes`` show it, with a
    value or a list of values of which the item has any. A number that is not known is within no
    range.
    """

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        strict=True,
        validate_by_name=True,
        validate_by_alias=True,
        json_schema_extra={
            "examples": [
                {"max_price": 30},
                {"category": ["soap", "shampoo"], "not": {"brand": "house 3"}},
            ]
        },
    )
    __pydantic_extra__: dict[str, Labels] = Field(init=False)

    category: Labels | None = Field(None, examples=["shampoo"])
    brand: Labels | None = None
    store: Labels | None = None
    categories: Nodes | None = Field(
        None, description="a node of the category tree, by name or by path (`Beauty > Hair`)"
    )
    min_price: Price | None = None
    max_price: Price | None = Field(None, examples=[30])
    price: Range | None = None
    average_rating: Range | None = None
    rating_number: Range | None = None
    in_stock: bool | None = Field(None, description="in stock is what is not known to be out")
    not_: "Filter | None" = Field(None, alias="not")
    any_of: "list[Filter] | None" = Field(None, min_length=1, max_length=MAX_PARTS)
    all_of: "list[Filter] | None" = Field(None, min_length=1, max_length=MAX_PARTS)

    @model_validator(mode="before")
    @classmethod
    def _bounded(cls, value: Any) -> Any:
        """Refuse what is too large before any of it is read: the work is bounded by MAX_PARTS."""
        parts, ahead = 0, [(value, 1)]
        while ahead:
            one, depth = ahead.pop()
            if not isinstance(one, dict | list):
                continue
            parts += len(one)
            if parts > MAX_PARTS:
                raise PydanticCustomError(
                    "too_large", "more than {most} names and values", {"most": MAX_PARTS}
                )
            if depth > MAX_DEPTH:
                raise PydanticCustomError(
                    "too_deep", "more than {most} levels of objects and lists", {"most": MAX_DEPTH}
                )
            ahead += ((inner, depth + 1) for inner in _inner(one))
        return value

    @model_validator(mode="after")
    def _not_empty(self) -> "Filter":
        low, high = self.min_price, self.max_price
        if low is not None and high is not None and low > high:
            raise ValueError("min_price is larger than max_price")
        return self

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    def text(self) -> str:
        """The filter as JSON, without what is not named."""
        return self.model_dump_json(by_alias=True, exclude_none=True)

    @property
    def labels(self) -> dict[str, list[str]]:
        """The values that are asked for, by name; of each name any will do."""
        named = {n: getattr(self, n) for n in ("category", "brand", "store", "categories")}
        found = {**named, **(self.__pydantic_extra__ or {})}
        return {
            name: [value] if isinstance(value, str) else value
            for name, value in found.items()
            if value is not None
        }


def read_filter(text: str) -> Filter:
    """Return a filter that is written as a JSON object.

    Raises:
        ValueError: it is no JSON, or no filter; pydantic's ValidationError is one.
    """
    if len(text) > MAX_TEXT:
        raise ValueError(f"more than {MAX_TEXT:,} characters")
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("too many levels of objects and lists") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    return Filter.model_validate(value)


def faults_of(error: ValueError) -> list[tuple[str, str]]:
    """Return where and what is wrong, for each fault of a filter that could not be read."""
    if not isinstance(error, ValidationError):
        return [("", str(error))]
    return [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors()[:20]]


def _inner(value: dict[Any, Any] | list[Any]) -> list[Any]:
    if isinstance(value, list):
        return value
    for name in value:
        if not isinstance(name, str) or len(name) > 100 or not _NAME.search(name):
            raise PydanticCustomError("name", "a name is a text of at most 100 plain characters")
    return list(value.values())


ANYTHING = Filter()
