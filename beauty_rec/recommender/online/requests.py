"""What a shopper or a shop asks: the requests of every door, HTTP, terminal and pipeline alike."""

import time
from functools import cached_property
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from beauty_rec.corpus.ids import PLAIN
from beauty_rec.corpus.intake.given import content_of
from beauty_rec.corpus.text import clean_text
from beauty_rec.corpus.times import MIN_TIMESTAMP_MS, timestamp_fault
from beauty_rec.recommender.online.events import known_type
from beauty_rec.recommender.online.people import Past as Event
from beauty_rec.recommender.online.stock.filters import ANYTHING, Filter
from beauty_rec.recommender.online.values import Body, Id, Label, Model, Number, Price
from beauty_rec.settings import EventType

MAX_K = 1_000


MAX_USERS = 1_000
"""Of a batch."""
MAX_BATCH_K = 100


MAX_HISTORY = 1_000


MAX_TEXT = 2_000


Text = Annotated[str, StringConstraints(max_length=MAX_TEXT, pattern=r"^[^\x00]*$")]


def _cleaned(text: str) -> str:
    if not (cleaned := clean_text(text)):
        raise PydanticCustomError("blank", "nothing is left of it without markup")
    return cleaned


Clean = Annotated[Text, AfterValidator(clean_text)]
"""Read as the pipeline reads the texts of a file: without markup or control characters."""
Asked = Annotated[Clean, AfterValidator(lambda text: text or None)]
"""None where nothing is left of it: no text."""


Title = Annotated[Text, Field(min_length=1), AfterValidator(_cleaned)]


def _moment(value: int) -> int:
    if fault := timestamp_fault(value, now_ms=int(time.time() * 1000)):
        raise PydanticCustomError("moment", "the time is {fault}", {"fault": fault})
    return value


Moment = Annotated[
    int,
    AfterValidator(_moment),
    Field(
        description="Unix milliseconds, not in the future",
        json_schema_extra={"minimum": MIN_TIMESTAMP_MS},
    ),
]


Rating = Annotated[float, Field(ge=1, le=5, allow_inf_nan=False)]


ONLY_LABELS: JsonDict = {
    "additionalProperties": False,
    "propertyNames": {"minLength": 1, "maxLength": 100, "pattern": PLAIN},
}


SearchOrder = Literal["hybrid", "text_retriever", "lexical", "titles"]
"""How a search orders what it finds: by vectors, words and titles, or by one of them."""

SimilarBy = Literal["text", "vectors", "baskets"]
"""What makes two items alike: their texts, the item tower's vectors, or who takes them together."""

Source = Literal[
    "user_tower",
    "text_retriever",
    "lexical",
    "titles",
    "item_to_item",
    "popular",
    "new_arrivals",
]


class PastItem(Model):
    """An item of the shopper's past."""

    parent_asin: Id
    rating: Rating = Field(5.0, description="1 to 5; an item that is only named counts as liked")
    timestamp: Moment | None = Field(None, description="Unix ms; by default a day before `at`")


Past = Annotated[
    Annotated[Id, Tag("id")] | Annotated[PastItem, Tag("event")],
    Discriminator(lambda value: "id" if isinstance(value, str) else "event"),
]
"""An item that is only named, or an event; a fault of one is not said of the other."""


class RecommendRequest(Body):
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
    history: list[Past] = Field(
        [], max_length=MAX_HISTORY, description="oldest first; added to what is known of user_id"
    )
    context: Asked | None = Field(None, description="what is looked for, or the occasion")
    profile: dict[Label, Number | Annotated[Label, AfterValidator(clean_text)] | None] = Field(
        {},
        max_length=50,
        description="over what is known of user_id",
        json_schema_extra=ONLY_LABELS,
    )
    k: int = Field(10, ge=1, le=MAX_K)
    filters: Filter = ANYTHING
    exclude_seen: bool = Field(True, description="leave out the items of the past")
    exclude: list[Id] = Field([], max_length=1_000, description="further items to leave out")
    sources: list[Source] = Field(
        list(get_args(Source)),
        min_length=1,
        max_length=len(get_args(Source)),
        description="where candidates come from; the text retriever, the words and the titles need "
        "a context",
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


class BatchRequest(Body):
    """One question for many users: what :class:`RecommendRequest` says of each field holds here."""

    user_ids: list[Id] = Field(min_length=1, max_length=MAX_USERS)
    context: Asked | None = None
    k: int = Field(10, ge=1, le=MAX_BATCH_K)
    filters: Filter = ANYTHING
    exclude_seen: bool = True
    exclude: list[Id] = Field([], max_length=1_000)
    diversity: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    at: Moment | None = None

    def alone(self) -> list[RecommendRequest]:
        """Return the request of each user, as it would be made one by one."""
        # Its parts are checked already, and a thousand copies of them need not be again.
        shared = {name: getattr(self, name) for name in type(self).model_fields}
        del shared["user_ids"]
        one = RecommendRequest().model_copy(update=shared)
        return [one.model_copy(update={"user_id": user}) for user in self.user_ids]


class NewItem(Model):
    """An item to add, or to replace."""

    parent_asin: Id
    title: Title = Field(examples=["Rosemary shampoo for an itchy scalp, 300 ml"])
    store: Clean | None = None
    price: Price | None = None
    main_category: Clean | None = None
    categories: list[Clean] = Field([], max_length=20)
    features: list[Clean] = Field([], max_length=50)
    description: Annotated[
        str,
        StringConstraints(max_length=10_000, pattern=r"^[^\x00]*$"),
        AfterValidator(clean_text),
    ] = ""
    details: dict[Label, Text] = Field({}, max_length=100, json_schema_extra=ONLY_LABELS)
    attributes: dict[Label, Label | Annotated[list[Label], Field(fail_fast=True)]] = Field(
        {},
        max_length=50,
        description="over what is read from the texts: a value, or a list of an open field's",
        examples=[{"category": "shampoo", "scent": ["rosemary"]}],
        json_schema_extra=ONLY_LABELS,
    )

    def as_row(self) -> dict[str, Any]:
        """Return it as a row of a file of items, in which attributes are details."""
        row = self.model_dump(mode="json", exclude={"attributes", "description", "details"})
        given = {name: value for name, value in row.items() if value not in (None, [])}
        described = [self.description] if self.description else []
        said = {n: v if isinstance(v, str) else ", ".join(v) for n, v in self.attributes.items()}
        return {**given, "description": described, "details": {**self.details, **said}}

    @cached_property
    def content(self) -> str:
        """See :func:`~beauty_rec.corpus.intake.given.content_of`; it is often asked for."""
        return content_of(self.as_row())


RecommendationId = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_-]+$")
]


class NewEvent(Model):
    """A user's new event."""

    user_id: Id
    parent_asin: Id
    type: Annotated[EventType, BeforeValidator(known_type)] | None = Field(
        None,
        description="what was done; unset: a rating where one is given, else a purchase. hide: the "
        "item is not shown to this user again",
    )
    rating: Rating | None = Field(None, description="unset: 5")
    timestamp: Moment | None = Field(None, description="Unix ms; unset: now")
    recommendation_id: RecommendationId | None = Field(
        None, description="of the answer that showed the item"
    )

    def as_past(self, now_ms: int) -> Event:
        """Return it as an event of the answer path; one without a time is of ``now_ms``."""
        return Event(
            self.parent_asin,
            5.0 if self.rating is None else self.rating,
            now_ms if self.timestamp is None else self.timestamp,
            self.type or ("purchase" if self.rating is None else "rating"),
        )


Events = Annotated[
    Annotated[NewEvent, Tag("event")]
    | Annotated[list[NewEvent], Field(min_length=1, max_length=100), Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list) else "event"),
]
"""An event, or a list of at most 100."""
