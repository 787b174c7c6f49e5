"""The native rows (Amazon Reviews 2023) and the frames that the corpus makes of them.

The row models are typed dictionaries that pydantic checks straight from a line's bytes, without
building an object per row. They are strict: a number in quotes is no number. Fields that a model
does not name are let through (reviews keep scalar ones as `extras`, profiles as columns).
"""

import math
from typing import Annotated, Any, NotRequired

import polars as pl
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    with_config,
)
from pydantic_core import from_json
from typing_extensions import TypedDict

from beauty_rec.corpus.ids import PLAIN, checked_id


def _present(value: Any) -> Any:
    """NaN and infinity, which are no JSON, are a missing value, as in a Parquet file of pandas."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _whole(value: Any) -> Any:
    """`1.0` is the integer 1: a column of integers with a gap is one of floats in pandas."""
    return int(value) if isinstance(value, float) and value.is_integer() else _present(value)


def _stars(value: Any) -> Any:
    """What is no mean of one to five stars, or 0 for none given, is a missing value."""
    return value if not isinstance(value, int | float) or 0 <= value <= 5 else None


def _text_list(value: Any) -> Any:
    if isinstance(value, list):
        return [text for text in value if _present(text) is not None]
    return [] if _present(value) is None else [value] if isinstance(value, str) else value


def _details(value: Any) -> Any:
    """Return an object, given as such, as a JSON string or as a list of key and value; else {}.

    `details` that are `[]` or a lone text say nothing that could be looked up: no fault of the row.
    """
    if isinstance(value, str):
        try:
            value = from_json(value)
        except ValueError:
            return {}
    if isinstance(value, list):  # how Parquet keeps a map
        pairs = [row for row in value if isinstance(row, dict) and row.keys() == {"key", "value"}]
        value = {row["key"]: row["value"] for row in pairs if isinstance(row["key"], str)}
    return value if isinstance(value, dict) else {}


Missing = BeforeValidator(_present)
Id = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=PLAIN),
    AfterValidator(checked_id),
    Missing,
]
Count = Annotated[Annotated[int, Field(ge=0, lt=2**31)] | None, BeforeValidator(_whole)]
Text = Annotated[str | None, Missing]
TextList = Annotated[list[str], BeforeValidator(_text_list)]


@with_config(ConfigDict(strict=True, extra="allow"))
class ReviewRow(TypedDict):
    """One review. `asin` (the variant) and `images` are native fields that nothing uses."""

    user_id: Id
    parent_asin: Id
    timestamp: Annotated[int, BeforeValidator(_whole)]
    rating: Annotated[float, Field(ge=1, le=5), Missing]
    title: NotRequired[Text]
    text: NotRequired[Text]
    helpful_vote: NotRequired[Count]
    verified_purchase: NotRequired[Annotated[bool | None, Missing]]
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
    price: NotRequired[Any]
    features: NotRequired[TextList]
    description: NotRequired[TextList]
    categories: NotRequired[TextList]
    details: NotRequired[Annotated[dict[str, Any], BeforeValidator(_details)]]
    average_rating: NotRequired[Annotated[float | None, BeforeValidator(_stars)]]
    rating_number: NotRequired[Count]


@with_config(ConfigDict(strict=True, extra="allow"))
class ProfileRow(TypedDict):
    """One user; every further scalar field becomes a column."""

    user_id: Id


REVIEW = TypeAdapter(ReviewRow)
ITEM = TypeAdapter(ItemRow)
PROFILE = TypeAdapter(ProfileRow)
REVIEW_FIELDS = frozenset(ReviewRow.__annotations__)
ITEM_FIELDS = frozenset(ItemRow.__annotations__)

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
    "raw_price": pl.String,
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
