"""The native rows (Amazon Reviews 2023) and the frames that the corpus makes of them.

The row models are typed dictionaries that pydantic checks straight from a line's bytes, without
building an object per row. They are strict: a number in quotes is no number. Fields that a model
does not name are let through (reviews keep scalar ones as `extras`, profiles as columns).
"""

import math
import re
from typing import Annotated, Any, NotRequired

import polars as pl
from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, TypeAdapter, with_config
from pydantic_core import from_json
from typing_extensions import TypedDict

MIN_TIMESTAMP_MS = 100_000_000_000
"""March 1973 in milliseconds; a smaller one was meant in seconds (of a year before 5138)."""
CLOCK_SLACK_MS = 24 * 3600 * 1000
"""How far ahead of now a timestamp may lie: shops write local time as if it were UTC."""

Id = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$"
    ),
]


def parse_price(value: Any) -> float | None:
    """Return the (first) number of a price: 12.99, "$12.99", "from 10.00"; None if there is none.

    Negative and non-finite prices are None as well.
    """
    if isinstance(value, str):
        match = re.search(r"(?<![\d.-])\d[\d,]*(?:\.\d+)?", value)
        value = float(match.group().replace(",", "")) if match else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e9 else None


def _text_list(value: Any) -> Any:
    return [] if value is None else [value] if isinstance(value, str) else value


def _json_object(value: Any) -> Any:
    """Read `details` given as a JSON string; anything else is left for the type check."""
    if isinstance(value, str):
        try:
            return from_json(value) if value.strip() else {}
        except ValueError:
            return value
    return {} if value is None else value


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Text = str | None
TextList = Annotated[list[str], BeforeValidator(_text_list)]


@with_config(ConfigDict(strict=True, extra="allow"))
class ReviewRow(TypedDict):
    """One review. `asin` (the variant) and `images` are native fields that nothing uses."""

    user_id: Id
    parent_asin: Id
    timestamp: Annotated[int, Field(ge=MIN_TIMESTAMP_MS)]
    rating: Annotated[float, Field(ge=1, le=5)]
    title: NotRequired[Text]
    text: NotRequired[Text]
    helpful_vote: NotRequired[Annotated[int, Field(ge=0, lt=2**31)] | None]
    verified_purchase: NotRequired[bool | None]
    context: NotRequired[Text]
    asin: NotRequired[Any]
    images: NotRequired[Any]


@with_config(ConfigDict(strict=True, extra="ignore"))
class ItemRow(TypedDict):
    """One metadata row. Images, videos and `bought_together` are left out."""

    parent_asin: Id
    title: NotRequired[Text]
    main_category: NotRequired[Text]
    store: NotRequired[Text]
    price: NotRequired[Annotated[float | None, BeforeValidator(parse_price)]]
    features: NotRequired[TextList]
    description: NotRequired[TextList]
    categories: NotRequired[TextList]
    details: NotRequired[Annotated[dict[str, Any], BeforeValidator(_json_object)]]
    average_rating: NotRequired[Annotated[float | None, BeforeValidator(_finite)]]
    rating_number: NotRequired[Annotated[int, Field(ge=0, lt=2**31)] | None]


@with_config(ConfigDict(strict=True, extra="allow"))
class ProfileRow(TypedDict):
    """One user; every further scalar field becomes a column."""

    user_id: Id


REVIEW = TypeAdapter(ReviewRow)
ITEM = TypeAdapter(ItemRow)
PROFILE = TypeAdapter(ProfileRow)
REVIEW_FIELDS = frozenset(ReviewRow.__annotations__)

REVIEW_SCHEMA: dict[str, Any] = {
    "review_id": pl.String,
    "user_id": pl.String,
    "parent_asin": pl.String,
    "timestamp": pl.Int64,
    "rating": pl.Float32,
    "title": pl.String,
    "text": pl.String,
    "raw_title": pl.String,
    "raw_text": pl.String,
    "helpful_vote": pl.Int32,
    "verified_purchase": pl.Boolean,
    "context": pl.String,
    "extras": pl.String,
}
ITEM_SCHEMA: dict[str, Any] = {
    "parent_asin": pl.String,
    "title": pl.String,
    "main_category": pl.String,
    "store": pl.String,
    "price": pl.Float32,
    "features": pl.List(pl.String),
    "description": pl.String,
    "categories": pl.List(pl.String),
    "category": pl.String,
    "category_source": pl.String,
    "details": pl.String,
    "average_rating": pl.Float32,
    "rating_number": pl.Int32,
}
QUARANTINE_SCHEMA: dict[str, Any] = {
    "file": pl.String,
    "line": pl.Int64,
    "reason": pl.String,
    "excerpt": pl.String,
}
