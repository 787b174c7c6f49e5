"""What the API takes and gives. The command line and the page speak the same models."""

from typing import Literal

from pydantic import BaseModel, Field, model_validator

from beauty_rec.recommender.online.requests import NewItem
from beauty_rec.recommender.online.values import Body, Model, Price


class Evidence(BaseModel):
    """A reason that the data hold; nothing here is made up."""

    kind: Literal["similar", "attribute", "context", "profile", "keyword"]
    text: str = Field(description="the value, keyword or title itself")
    field: str | None = Field(None, description="name of the attribute")
    count: int | None = Field(None, description="reviews that say it, or past items that share it")
    of: int | None = Field(None, description="past items looked at")
    parent_asin: str | None = None
    cosine: float | None = None


class Card(BaseModel):
    """An item as people see it."""

    parent_asin: str
    title: str
    store: str
    price: float | None
    average_rating: float | None
    rating_number: int | None
    category: str | None
    brand: str | None
    keywords: list[str] = Field(description="said by reviewers, the most telling first")
    keyword_reviews: list[int] = Field(description="how many of them said each")
    in_stock: bool = True


class Standing(BaseModel):
    """What a source says of a candidate: its score, and its place among the candidates."""

    score: float
    rank: int


class Recommended(Card):
    """A recommended item; ``score`` is that of the served order."""

    rank: int
    score: float
    probability: float | None = Field(
        description="of being chosen, calibrated; null where no learned order was asked"
    )
    sources: dict[str, Standing] = Field(description="every source that knows of it")
    why: list[Evidence]
    rules: list[str] = Field(description="names of the shop's rules that moved it")
    propensity: float | None = Field(
        None, description="of standing at its place, where chance had a say: see docs/experiments"
    )


class CandidateCard(BaseModel):
    """A candidate with what the sources say of it, in the order that is served."""

    parent_asin: str
    title: str
    price: float | None
    category: str | None
    brand: str | None
    keywords: list[str]
    rank: int
    sources: dict[str, Standing]


class Recommendations(BaseModel):
    """An answer. ``version`` names the one set that all of it comes from."""

    version: str
    recommendation_id: str = Field(description="to be named by the events that follow from it")
    order: str = Field(description="the order that this ask is answered in: see /version")
    variant: str = Field(description="that answers this user; default outside of an experiment")
    experiment: str | None = Field(None, description="that the variant is of")
    items: list[Recommended]
    candidates: list[CandidateCard] | None = None
    notes: list[str] = Field(description="what of the question could not be used")


class UserRecommendations(Recommendations):
    """An answer of a batch."""

    user_id: str


class Batch(BaseModel):
    """The answers of a batch, in the order of its users; each names the set that it comes from."""

    answers: list[UserRecommendations]


class Hit(Card):
    """A found item; ``score`` is that of the order: a cosine, or a sum of shares of the best."""

    rank: int
    score: float


class Hits(BaseModel):
    """Found items, best first."""

    version: str
    recommendation_id: str = Field(description="to be named by the events that follow from it")
    order: str = Field(
        description="how they were found: hybrid, by all that reads a text, or one source alone: "
        "text_retriever, lexical, titles, item_tower or item_to_item"
    )
    items: list[Hit]


class FeedHit(Hit):
    """An item of a feed, with the figures that put it there."""

    figures: dict[str, float] = Field(
        description="trending: recent and usual, decayed events; bought together: users, support, "
        "confidence, lift; new arrivals: days_since_first_sold, where it was sold"
    )


class Shelf(BaseModel):
    """Items that the buyers of one past item took as well."""

    because: Card
    items: list[FeedHit]


class Feed(BaseModel):
    """A list that is shown without a question; ``order`` is its name."""

    version: str
    recommendation_id: str = Field(description="to be named by the events that follow from it")
    order: str
    variant: str = Field(description="that answers this user; default outside of an experiment")
    experiment: str | None = Field(None, description="that the variant is of")
    items: list[FeedHit]
    shelves: list[Shelf] = Field(description="of because-you-bought, which has no other items")
    notes: list[str] = Field(description="what of the question could not be used")


class FacetValue(BaseModel):
    """A value, and how many items that are shown have it."""

    value: str
    items: int


class Facets(BaseModel):
    """What a filter may name: all attributes, and values of some."""

    version: str
    fields: list[str] = Field(description="every attribute that a filter may name")
    facets: dict[str, list[FacetValue]] = Field(description="field → its commonest values")


class ItemDetail(Card):
    """One item with all that is known of it."""

    version: str
    hidden: bool = Field(False, description="withdrawn: in no answer but this one")
    summary: str
    categories: list[str] = Field(description="the path of the category tree that it lies on")
    attributes: dict[str, list[str]]
    train_events: int = Field(description="events of train that popularity counts")


class NewItems(Body):
    """At most 100 items in one call."""

    items: list[NewItem] = Field(min_length=1, max_length=100)


class ItemChange(Model):
    """What is said of an item beside what it is; what is left out stays as it is."""

    hidden: bool | None = Field(None, description="never shown, and still learned from")
    in_stock: bool | None = Field(None, description="see serve.out_of_stock")
    price: Price | None = Field(None, description="shown, and filtered by")

    @model_validator(mode="after")
    def _says_something(self) -> "ItemChange":
        if not self.model_fields_set:
            raise ValueError("nothing is said: name hidden, in_stock or price")
        return self


class ItemState(BaseModel):
    """An item as it stands from the next answer on."""

    parent_asin: str
    hidden: bool | None = None
    in_stock: bool | None = None
    price: float | None = None
    version: str


class Deleted(BaseModel):
    """What was deleted of a user."""

    events: int = Field(description="given events that are deleted")
    erased: bool = Field(
        description="nothing of them is left in the database's files, as far as the server may "
        "see to it; the next run tries again"
    )
    version: str


class Stored(BaseModel):
    """What was stored; searchable from now on, and after a restart."""

    stored: int
    version: str


class StoredEvents(Stored):
    """What was stored, and how many of the events that name an answer it showed the item of."""

    attributed: int = Field(description="events whose recommendation_id showed their item")
    unattributed: int = Field(description="events whose recommendation_id is not known to have")


class SampleUser(BaseModel):
    """A user to try, and how many events are known."""

    user_id: str
    events: int
    profile: dict[str, float | str | None]
    latest: list[str] = Field(description="titles of the latest items")


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[dict[str, str]] | None = Field(None, description="field by field, where known")


class Version(BaseModel):
    """The served set."""

    version: str
    created_at: str
    parts: dict[str, str]
    indexes: dict[str, dict[str, str | int | float]]
    metrics: dict[str, float]
    measured: dict[str, str] = Field(description="split → the day its events were asked for them")
    served: dict[str, str] = Field(description="kind of ask → the order it is answered in")
    reasons: dict[str, str] = Field(description="kind of ask → why that order")
    statistics_until: str = Field(description="what sells is counted until then")
    items: int
    added_items: int


class Health(BaseModel):
    """Whether the server lives, and whether it is ready."""

    status: Literal["ok", "ready", "not ready"]
    set: str | None = None
    set_age_s: float | None = Field(None, description="since the served set was published")
    waiting_items: int | None = Field(
        None,
        description="given before, found as soon as their vectors are made",
    )
    refusals: int | None = Field(None, description="of newer sets, since the start")
    refuses_newest: bool | None = Field(None, description="the log says why")
    rules: int | None = Field(None, description="of the shop, at work")
    refuses_rules: bool | None = Field(
        None,
        description="their file is not valid as it is now, those from before stay; see the log",
    )
    experiment: str | None = Field(None, description="that users are split by")
    refuses_experiment: bool | None = Field(
        None, description="its file is not valid as it is now, the one from before goes on"
    )
    database: bool | None = None
    reasons: list[str] = []


class ShopsHealth(BaseModel):
    """How several shops stand."""

    status: Literal["ready", "partly ready", "not ready"] = Field(
        description="all of them, some, or none"
    )
    reasons: list[str] = Field(description="each with the shop's name before it")
    shops: dict[str, Health]


class ShopEntry(BaseModel):
    """One of several shops."""

    shop: str
    status: Literal["ready", "not ready"]
    set: str | None
