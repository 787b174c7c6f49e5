"""Synthetic shoppers with planted tastes, who visit a running shop and keep all that they got."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx

from beauty_rec_tests.recommender.served_set import KEY

AT_ONCE = 8
LOVED, OTHER = 0.3, 0.03
"""Chance of a click on a shown item that is of the shopper's taste, or is not."""
BOUGHT = 0.3
"""Of what was clicked."""
SEARCHES, FEEDS = 0.1, 0.1
"""Share of visits with a search, or a feed, as well."""


class Shopper(NamedTuple):
    """Somebody, and the style of the items that they like."""

    user_id: str
    taste: str


@dataclass(frozen=True)
class Shown:
    """An answer, and the moment (monotonic seconds) before which it was not asked for."""

    asked: float
    shopper: Shopper
    body: dict[str, Any]

    @property
    def items(self) -> list[str]:
        return [item["parent_asin"] for item in self.body["items"]]


@dataclass
class Street:
    """The shoppers of a shop, and what they got; threads share it.

    Attributes:
        url: of the server.
        style: of each item.
        shown: recommendations; ``beside``: searches and feeds.
        failed: what was answered with anything but success, or not at all.
    """

    url: str
    style: Mapping[str, str]
    shown: list[Shown] = field(default_factory=list)
    beside: list[Shown] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    requests: int = 0
    _own: threading.local = field(default_factory=threading.local)

    def visits(
        self, visit: Callable[[Shopper], None], shoppers: Sequence[Shopper]
    ) -> Iterator[int]:
        """Have all shoppers visit, some at a time; yield how many have been there."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            going: list[Future[None]] = [pool.submit(visit, one) for one in shoppers]
            for number, one in enumerate(as_completed(going), 1):
                one.result()
                yield number

    def buy_by_taste(self, day: str, since_ms: int) -> Callable[[Shopper], None]:
        """A visit that says what was bought elsewhere, three items of the taste, and looks."""

        def visit(shopper: Shopper) -> None:
            draw = random.Random(f"{day} {shopper.user_id}")
            loved = sorted(name for name, of in self.style.items() if of == shopper.taste)
            events = [
                {"user_id": shopper.user_id, "parent_asin": item, "type": "purchase",
                 "timestamp": since_ms + draw.randrange(3_600_000)}
                for item in draw.sample(loved, 3)
            ]  # fmt: skip
            self.send("POST", "/v1/events", json=events)
            self.look(shopper, draw)

        return visit

    def click_by_taste(self, day: str) -> Callable[[Shopper], None]:
        """A visit that clicks, and buys, of what is shown by what is liked."""

        def visit(shopper: Shopper) -> None:
            draw = random.Random(f"{day} {shopper.user_id}")
            answer = self.look(shopper, draw)
            if answer is None:
                return
            events = []
            for item in answer.items:
                if item not in self.style:  # the deal, which nobody buys: it would not come again
                    continue
                liked = self.style[item] == shopper.taste
                if draw.random() < (LOVED if liked else OTHER):
                    kinds = ["click", "purchase"] if draw.random() < BOUGHT else ["click"]
                    events += [
                        {"user_id": shopper.user_id, "parent_asin": item, "type": kind,
                         "recommendation_id": answer.body["recommendation_id"]}
                        for kind in kinds
                    ]  # fmt: skip
            if events:
                self.send("POST", "/v1/events", json=events)

        return visit

    def look(self, shopper: Shopper, draw: random.Random) -> Shown | None:
        """Ask for recommendations, and now and then for other lists; return the former."""
        asked = time.monotonic()
        question = {"user_id": shopper.user_id, "k": 10}
        body = self.send("POST", "/v1/recommend", json=question)
        found = None if body is None else Shown(asked, shopper, body)
        if found is not None:
            self.shown.append(found)
        for share, path in (
            (SEARCHES, "/v1/search?q=soap&k=50"),
            (FEEDS, f"/v1/feeds/trending?k=50&user_id={shopper.user_id}"),
        ):
            if draw.random() < share:
                asked = time.monotonic()
                if (body := self.send("GET", path)) is not None:
                    self.beside.append(Shown(asked, shopper, body))
        return found

    def send(self, method: str, path: str, **given: Any) -> Any:
        """Return the answer to a request; None where it failed, which is noted."""
        if not hasattr(self._own, "client"):
            self._own.client = httpx.Client(
                base_url=self.url, timeout=20, headers={"X-API-Key": KEY}
            )
        self.requests += 1
        try:
            response = self._own.client.request(method, path, **given)
        except httpx.TransportError as error:
            self.failed.append(f"{method} {path}: {error!r}")
            return None
        if response.status_code != 200:
            self.failed.append(f"{method} {path}: {response.status_code} {response.text[:300]}")
            return None
        return response.json()


def shoppers(count: int, tastes: Sequence[str], seed: int) -> list[Shopper]:
    """Return shoppers, each with a taste."""
    draw = random.Random(seed)
    return [Shopper(f"shopper-{number:05d}-of-the-day", draw.choice(tastes))
            for number in range(count)]  # fmt: skip
