"""What a shopper or a shop asks: the requests of every door, HTTP, terminal and pipeline alike."""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.config import JsonDict

MAX_K = 1_000


MAX_HISTORY = 1_000


MAX_TEXT = 2_000


LATEST_MS = 4_102_444_800_000
"""The year 2100."""


Plain = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"
"""Not blank, no control characters."""


Id = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=Plain)
]


Text = Annotated[str, StringConstraints(max_length=MAX_TEXT, pattern=r"^[^\x00]*$")]


Label = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=Plain)
]


Price = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


Moment = Annotated[int, Field(ge=0, le=LATEST_MS, description="Unix milliseconds")]


Rating = Annotated[float, Field(ge=1, le=5, allow_inf_nan=False)]


Number = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]


ONLY_LABELS: JsonDict = {
    "additionalProperties": False,
    "propertyNames": {"minLength": 1, "maxLength": 100, "pattern": Plain},
}


SearchOrder = Literal["hybrid", "text_retriever", "lexical"]
"""How a search orders what it finds: by vectors and words, or by one of them."""

SimilarBy = Literal["text", "baskets"]
"""What makes two items alike: their texts, or who takes them together."""

Source = Literal[
    "user_tower", "text_retriever", "lexical", "item_to_item", "popular", "new_arrivals"
]


class Model(BaseModel):
    """Unknown fields are errors: a misspelt filter must not be a filter that is not there."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PastItem(Model):
    """An item of the shopper's past."""

    parent_asin: Id
    rating: Rating = Field(5.0, description="1 to 5; an item that is only named counts as liked")
    timestamp: Moment | None = Field(None, description="Unix ms; by default a day before `at`")


class ItemFilters(Model):
    """What an item has to be. A bound on the price leaves items without one out."""

    category: Label | None = Field(None, examples=["shampoo"])
    brand: Label | None = None
    min_price: Price | None = None
    max_price: Price | None = Field(None, examples=[30])

    @model_validator(mode="after")
    def _not_empty(self) -> "ItemFilters":
        low, high = self.min_price, self.max_price
        if low is not None and high is not None and low > high:
            raise ValueError("min_price is larger than max_price")
        return self


class RecommendRequest(Model):
    """Who asks, and for what. Nothing at all asks for what is popular."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "context": "a gentle shampoo for an itchy scalp, for the gym",
                    "profile": {"height_cm": 168, "weight_kg": 61},
                    "k": 10,
                    "filters": {"max_price": 30},
                }
            ]
        },
    )

    user_id: Id | None = Field(None, description="a known user's events and profile are used")
    history: list[Id | PastItem] = Field(
        [], max_length=MAX_HISTORY, description="oldest first; added to what is known of user_id"
    )
    context: Text | None = Field(None, description="what is looked for, or the occasion")
    profile: dict[Label, Number | Label | None] = Field(
        {},
        max_length=50,
        description="over what is known of user_id",
        json_schema_extra=ONLY_LABELS,
    )
    k: int = Field(10, ge=1, le=MAX_K)
    filters: ItemFilters = ItemFilters()
    exclude_seen: bool = Field(True, description="leave out the items of the past")
    exclude: list[Id] = Field([], max_length=1_000, description="further items to leave out")
    sources: list[Source] = Field(
        list(get_args(Source)),
        min_length=1,
        max_length=6,
        description="where candidates come from; the text retriever and the words need a context",
    )
    diversity: float | None = Field(
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="0: the served order as it is; unset: serve's",
    )
    at: Moment | None = Field(
        None, description="as if asked then, with the events before; unset: now"
    )
    stages: bool = Field(False, description="also what every source says of the candidates")


class NewItem(Model):
    """An item to add, or to replace."""

    parent_asin: Id
    title: Text = Field(min_length=1, examples=["Rosemary shampoo for an itchy scalp, 300 ml"])
    store: Text | None = None
    price: Price | None = None
    main_category: Text | None = None
    categories: list[Text] = Field([], max_length=20)
    features: list[Text] = Field([], max_length=50)
    description: Annotated[str, StringConstraints(max_length=10_000, pattern=r"^[^\x00]*$")] = ""
    details: dict[Label, Text] = Field({}, max_length=100, json_schema_extra=ONLY_LABELS)
    attributes: dict[Label, Label | list[Label]] = Field(
        {},
        max_length=50,
        description="over what is read from the texts: a value, or a list of an open field's",
        examples=[{"category": "shampoo", "scent": ["rosemary"]}],
        json_schema_extra=ONLY_LABELS,
    )


class NewEvent(Model):
    """A user's new event."""

    user_id: Id
    parent_asin: Id
    rating: Rating = 5.0
    timestamp: Moment | None = Field(None, description="Unix ms; unset: now")
