"""What an event of a user is worth, and what is kept of the answers that people were shown."""

from typing import Literal

from pydantic import Field

from beauty_rec.settings.group import Group

EventType = Literal["view", "click", "cart", "purchase", "rating", "hide"]
"""What a user did with an item; the meaning of each stands in :mod:`recommender.online.events`."""


class EventSettings(Group):
    """Weights of events, and how long they and impressions are kept."""

    view_weight: float = Field(
        0.6,
        ge=0,
        le=1,
        description="of a viewed item in a user's past: its rating, 5 unless given, times this; "
        "0: it is no past",
    )
    click_weight: float = Field(0.7, ge=0, le=1, description="the same of a clicked item")
    cart_weight: float = Field(0.9, ge=0, le=1, description="the same of one in the cart")
    purchase_weight: float = Field(1.0, ge=0, le=1, description="the same of a bought item")
    seen_events: tuple[Literal["view", "click", "cart", "purchase", "rating"], ...] = Field(
        ("purchase", "rating"),
        description="events after which an item is seen, and left out of answers",
    )
    impressions: bool = Field(
        True, description="keep what each answer showed; off where the store cannot be written to"
    )
    impression_days: int = Field(
        90, ge=1, le=3_650, description="after which a shown answer is deleted"
    )
    look_days: int = Field(
        400,
        ge=1,
        le=3_650,
        description="after which a view, click or cart that was given is deleted, never before the "
        "impressions; ratings, purchases and hides stay",
    )
