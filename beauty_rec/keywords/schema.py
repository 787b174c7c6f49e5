"""What is known of a review after extraction: WHO it is for, WHEN it is used, WHY it is liked.

The model is the check of every extractor's answer; a language model is asked for the tighter form
of :class:`beauty_rec.keywords.llm.AskedKeywords`.

>>> ReviewKeywords(who=[" My  Daughter", "my daughter"], when=[], why=["Soft"]).who
['my daughter']
"""

from typing import Annotated, Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

MAX_WHO = 16
MAX_WHEN = 16
MAX_WHY = 32
MAX_CHARS = 60

FACETS = ("who", "when", "why")

ANSWER_SCHEMA: dict[str, pl.DataType] = {
    "review_id": pl.String(),
    "who": pl.List(pl.String()),
    "when": pl.List(pl.String()),
    "why": pl.List(pl.String()),
    "source": pl.String(),
}
"""Columns of an extractor's answer."""

KEYWORDS_SCHEMA: dict[str, pl.DataType] = {
    "review_id": pl.String(),
    "parent_asin": pl.String(),
    "who": pl.List(pl.String()),
    "when": pl.List(pl.String()),
    "why": pl.List(pl.String()),
    "source": pl.String(),
}
"""Columns of the ``keywords`` artifact."""

Keyword = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CHARS)]


def normalise(keyword: str) -> str:
    """Return ``keyword`` in lower case, one space between words, no unprintable characters."""
    if not keyword.isprintable():
        keyword = "".join(c if c.isprintable() else " " for c in keyword)
    return " ".join(keyword.lower().split())


class ReviewKeywords(BaseModel):
    """Short keywords of one review, lower case, each once, in the order of their weight or text.

    Empty strings and repeats are taken out first; what then still breaks a bound is an error.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    who: list[Keyword] = Field(
        max_length=MAX_WHO,
        description="who uses it: age, gender, skin type, hair type, family, profession",
    )
    when: list[Keyword] = Field(
        max_length=MAX_WHEN,
        description="when it is used: season, time of day, occasion, step of a routine",
    )
    why: list[Keyword] = Field(
        max_length=MAX_WHY,
        description="why it is bought or liked: concern, benefit, sensory quality, and the "
        "product's own telling phrases (type of product, ingredient, use)",
    )

    @field_validator("who", "when", "why", mode="before")
    @classmethod
    def _normalised(cls, value: Any) -> Any:
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            return value  # pydantic's own message says what is wrong
        return [k for k in dict.fromkeys(map(normalise, value)) if k]
