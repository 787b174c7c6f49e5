"""What a shop says of an item beside what it is: hidden, out of stock, at another price."""

from typing import NamedTuple


class ItemState(NamedTuple):
    """None: nothing was said, so what the set knows holds.

    Attributes:
        hidden: never shown, and still learned from.
        in_stock: whether it can be bought now.
        price: instead of the item's own.
    """

    hidden: bool | None = None
    in_stock: bool | None = None
    price: float | None = None

    def given_anew(self) -> "ItemState":
        """Return what still holds when the item is given anew: neither withdrawal nor price."""
        return ItemState(None if self.hidden else self.hidden, self.in_stock)
