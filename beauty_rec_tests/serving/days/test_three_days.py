"""Three days of a shop with 2,000 shoppers, a real server and a real daemon.

The first day: purchases, an item is withdrawn, another one is new. The night learns from it. The
second day: a rule, an experiment of yesterday's set (by popularity) with the night's, in which the
planted tastes are found; it is promoted; a user and one of the files are forgotten. After the
second night, which trains: everybody has what was promoted. ``make test-live`` runs it: some five
minutes.
"""

import json
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from beauty_rec_tests.orchestration.daemon.live_shop import LiveShop, until
from beauty_rec_tests.orchestration.test_shop_input import traces
from beauty_rec_tests.serving.days.night import Nights
from beauty_rec_tests.serving.days.shoppers import Street, shoppers
from beauty_rec_tests.serving.live import LiveServer, live_server

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]
SHOPPERS = 2_000
STYLES = 10
DAY_MS = 86_400_000
DEAL = "DEAL0001"
RULE = """
[[rules]]
name = "deal of the day"
do = "pin"
place = 3
items = ["DEAL0001"]
"""
EXPERIMENT = """
name = "night-against-popular"
metric = "ctr"
control = "popular"
[variants.popular]
share = 0.5
set = "{first}"
order = "popular"
[variants.learned]
share = 0.5
set = "{second}"
order = "item_to_item"
"""


class DayShop(LiveShop):
    """A shop whose daemon rests by day."""

    def __init__(self, folder: Path, encoder: Path) -> None:
        super().__init__(folder, encoder)
        self.settings = [one for one in self.settings if not one.startswith("schedule.")]
        self.rules = folder / "rules.toml"
        self.rules.write_text("")

    @property
    def published(self) -> str:
        """The newest set."""
        return str(json.loads((self.data / "serving" / "manifest.json").read_text())["set"])

    def styles(self) -> dict[str, str]:
        """Item → style, which nothing but what people buy and click tells."""
        items = pl.read_parquet(self.data / "processed" / "raw_items.parquet")["parent_asin"]
        names = sorted(items)
        random.Random(11).shuffle(names)
        return {name: f"style {place % STYLES}" for place, name in enumerate(names)}


@pytest.fixture
def shop(tiny_model: Path) -> Iterator[DayShop]:
    # Not tmp_path: a second pytest would close its parents to the user that root's server runs as.
    folder = Path(tempfile.mkdtemp(prefix="beauty-rec-days-"))
    before = os.environ.get("DAGSTER_HOME")
    made = DayShop(folder, tiny_model)
    made.build()
    yield made
    made.instance.dispose()
    if before is None:
        del os.environ["DAGSTER_HOME"]
    shutil.rmtree(folder, ignore_errors=True)


def test_three_days_of_a_shop(shop: DayShop, tmp_path: Path) -> None:
    first = shop.published
    styles = shop.styles()
    everybody = shoppers(SHOPPERS, sorted(set(styles.values())), seed=7)
    leaves, stays = everybody[0].user_id, everybody[1].user_id
    reviews = pl.read_parquet(shop.data / "processed" / "split_reviews.parquet")
    known = reviews["user_id"].value_counts(sort=True)["user_id"][0]
    today = int(time.time() * 1000) - 3 * DAY_MS

    options = (f"rules={shop.rules}", "max_waiting=512")
    with live_server(shop.data, tmp_path / "log", *options) as server, shop.daemon() as port:
        nights, street = Nights(port), Street(server.url, styles)

        # The first day: an item is withdrawn while people buy, and a new one comes.
        withdrawn, withdrawn_at = "", 0.0
        for done in street.visits(street.buy_by_taste("one", today), everybody):
            if done == SHOPPERS // 2:
                often = Counter(item for one in street.shown for item in one.items)
                withdrawn = often.most_common(1)[0][0]
                assert street.send("DELETE", f"/v1/items/{withdrawn}")["hidden"] is True
                withdrawn_at = time.monotonic()
                new = {"parent_asin": DEAL, "title": "A soap that is a deal today"}
                street.send("POST", "/v1/items", json={"items": [new]})
        nights.run("nightly_reindex", {"dagster/schedule_name": "nightly"})
        second = shop.published
        assert second != first
        serves(server, second)

        # The second day: a rule, and both sets side by side.
        shop.rules.write_text(RULE)
        until(lambda: server.client.get("/readyz").json()["rules"] == 1, 30)
        ruled_at = time.monotonic()
        (tmp_path / "orders.toml").write_text(EXPERIMENT.format(first=first, second=second))
        begun = shop.call("experiment", "start", tmp_path / "orders.toml")
        assert begun.exit_code == 0, begun.output
        until(lambda: figures(server)["state"] == "running", 60)
        split_at = time.monotonic()
        for _ in street.visits(street.click_by_taste("two"), everybody):
            pass
        until(lambda: figures(server)["better"] is not None, 90)
        found = figures(server)
        (compared,) = [one for one in found["comparisons"] if one["metric"] == "ctr"]
        assert found["better"] == compared["variant"] == "learned", found
        assert compared["significant"] is True
        assert compared["p"] < 0.05
        nights.run("promote", {})
        until(lambda: figures(server)["state"] == "none", 30)
        until(lambda: recommended(server, stays)["order"] == "item_to_item", 30)
        promoted_at = time.monotonic()
        for user in (leaves, known):
            assert street.send("DELETE", f"/v1/users/{user}")["erased"] is True
        # The week's night: what people buy has changed, and models that stay as they were trained
        # may lose to one of their parts by now, which is not published.
        nights.run("retrain", {"dagster/schedule_name": "weekly_retrain"})
        third = shop.published
        assert third not in (first, second)
        serves(server, third)

        # The third day: everybody has what was promoted, from the set of this night.
        there = [one for one in everybody if one.user_id != leaves]
        third_at = time.monotonic()
        for _ in street.visits(street.click_by_taste("three"), there[: SHOPPERS // 2]):
            pass
        assert "not known" in recommended(server, leaves)["notes"][0]
        assert "not known" in recommended(server, known)["notes"][0]

    assert street.failed == []
    assert street.requests > 3 * SHOPPERS
    for one in [*street.shown, *street.beside]:
        assert one.asked < withdrawn_at or withdrawn not in str(one.body), one
    split = [one for one in street.shown if split_at < one.asked < promoted_at]
    versions = {"popular": first, "learned": second}
    assert {one.body["variant"] for one in split} == set(versions)
    assert all(one.body["version"] == versions[one.body["variant"]] for one in split)
    last = [one for one in street.shown if one.asked > third_at]
    assert {(one.body["variant"], one.body["version"]) for one in last} == {("default", third)}
    assert {one.body["order"] for one in last} == {"item_to_item"}
    for one in (one for one in street.shown if one.asked > ruled_at):
        assert one.items[2] == DEAL
        assert one.body["items"][2]["rules"] == ["deal of the day"]

    assert traces(shop.data, leaves) == traces(shop.data, known) == []
    assert traces(shop.data, stays)  # the search finds who is there


def figures(server: LiveServer) -> dict[str, Any]:
    found: dict[str, Any] = server.client.get("/v1/experiment").json()
    return found


def recommended(server: LiveServer, user_id: str) -> dict[str, Any]:
    asked = {"user_id": user_id, "k": 3}
    found: dict[str, Any] = server.client.post("/v1/recommend", json=asked).json()
    return found


def serves(server: LiveServer, name: str) -> None:
    until(lambda: server.client.get("/version").json()["version"] == name, 60)
