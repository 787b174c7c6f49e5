"""Why a feed has no item: an answer without one says it in its notes."""

from collections.abc import Iterable, Sequence

from beauty_rec.recommender.online.feeds.question import FeedName
from beauty_rec.recommender.online.feeds.tallies import Tallies
from beauty_rec.recommender.online.people import Past

_NOTHING: dict[FeedName, str] = {
    "trending": "sold above its usual rate",
    "new-arrivals": "new",
    "popular": "sold of late",
    "bought-together": "taken together with this item",
}


def why_no_item(
    feed: FeedName, about: str | None, tallies: Tallies, nothing_left: str | None
) -> str:
    """Return why a list has no item.

    Args:
        feed: its name; one without shelves.
        about: the item that it is about, if any.
        tallies: of the shop.
        nothing_left: why no item at all may be answered; None: some may be.
    """
    if about is not None and not tallies.together(about).names:
        return "nobody has taken anything together with this item yet"
    if nothing_left is not None:
        return nothing_left
    return f"nothing is {_NOTHING[feed]} among the items that may be shown"


def why_no_shelf(
    taken: Sequence[Past], liked: Iterable[str], tallies: Tallies, least: float
) -> str:
    """Return why a known user has no shelf.

    Args:
        taken: what the user bought or rated.
        liked: items of it that are liked.
        tallies: of the shop.
        least: stars from which an item is liked.
    """
    if not taken:
        return "this user has bought or rated nothing yet"
    if not any(liked):
        return f"this user has rated nothing with {least:g} stars or more"
    if not any(tallies.together(name).names for name in liked):
        return "nobody else has taken anything together with what this user liked"
    return (
        "all that goes with what this user liked was seen before, is kept back by the shop, "
        "or does not pass the filters"
    )
