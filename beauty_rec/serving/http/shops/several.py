"""The shops of a server, found by name."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Annotated

from fastapi import Path, Request

from beauty_rec.serving.http.problems import Refused
from beauty_rec.serving.http.shops.shop import Shop

AT = "/v1/shops/{shop}"
"""Where the routes of each of several shops begin."""
NAMED = 3
"""Known names that are listed beside an unknown one."""


class Shops:
    """The only shop of a server, which has no name, or several by theirs."""

    def __init__(self, shops: Sequence[Shop]) -> None:
        self._by_name = {shop.name: shop for shop in shops}
        self.only = self._by_name.get(None)
        """The only one; None where there are several."""

    def __iter__(self) -> Iterator[Shop]:
        return iter(self._by_name.values())

    def get(self, name: str | None) -> Shop | None:
        """Return the shop of this name, or the only one; None where there is none."""
        return self.only or self._by_name.get(name)

    def unknown(self, name: str) -> Refused:
        """Return what is said of a name that no shop has."""
        known = sorted(str(each) for each in self._by_name)
        near = get_close_matches(name, known, NAMED, 0.5) or known[:NAMED]
        return Refused(
            404, f"no shop {name!r}; the nearest known ones: {', '.join(map(repr, near))}"
        )


def shop_of(http: Request) -> Shop:
    """Return the shop of a request, as it was found before the route was asked."""
    shop: Shop = http.state.shop
    return shop


async def named_shop(
    shop: Annotated[str, Path(description="one of GET /v1/shops", examples=["perfumes"])],
) -> str:
    """Return the name in the path of a route of several shops; its document says so."""
    return shop
