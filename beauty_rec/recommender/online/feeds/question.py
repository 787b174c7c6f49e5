"""What a feed is asked with."""

from dataclasses import dataclass
from typing import Literal

from beauty_rec.recommender.online.stock.filters import ANYTHING, Filter

FeedName = Literal["trending", "new-arrivals", "popular", "bought-together", "because-you-bought"]
MOST_SHELVES = 10
_NEEDS = {"bought-together": "parent_asin", "because-you-bought": "user_id"}
_ALONE = {"parent_asin": "bought-together", "context": "popular"}


class UnfitFeed(ValueError):
    """A feed is asked with what it does not read, or without what it needs; ``field`` says what."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class FeedQuestion:
    """A feed, and whom and what it is for.

    Attributes:
        feed: its name.
        k: items at most, of each shelf where there are shelves.
        filters: what the items have to be.
        user_id: whose past is left out; whose past ``because-you-bought`` is about.
        parent_asin: the item that ``bought-together`` is about.
        context: the occasion that ``popular`` is within.
        shelves: past items at most that ``because-you-bought`` has a shelf for.

    Raises:
        UnfitFeed: what the feed needs is missing, or what it does not read is given.
    """

    feed: FeedName
    k: int = 10
    filters: Filter = ANYTHING
    user_id: str | None = None
    parent_asin: str | None = None
    context: str | None = None
    shelves: int = 3

    def __post_init__(self) -> None:
        needed = _NEEDS.get(self.feed)
        if needed is not None and not getattr(self, needed):
            raise UnfitFeed(needed, f"{self.feed} needs it")
        for field, feed in _ALONE.items():
            if getattr(self, field) is not None and self.feed != feed:
                raise UnfitFeed(field, f"{self.feed} does not read it; {feed} does")
