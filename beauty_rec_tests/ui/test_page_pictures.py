"""The pictures of the page in docs/: a shop's day is played on a copy of a set, and looked at.

Uses the set of the data folder that BEAUTY_REC_UI_DATA names, or a synthetic one. With
BEAUTY_REC_SCREENSHOTS=docs the pictures of the docs are taken.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from beauty_rec_tests.recommender.served_set import KEY
from beauty_rec_tests.recommender.synthetic_set import Size, load_encoder, publish_synthetic
from beauty_rec_tests.serving.live import LiveServer, live_server
from beauty_rec_tests.ui.pages import ROOT

pytestmark = [pytest.mark.ui, pytest.mark.timeout(600)]
DESK, PHONE = {"width": 1360, "height": 900}, {"width": 390, "height": 844}
LEAST_BYTES, MOST_BYTES = 20_000, 300_000
LOOK_RATE, CLICK_RATES = 0.8, (0.12, 0.09, 0.07, 0.05, 0.04, 0.03, 0.02, 0.02, 0.01, 0.01)
"""Share of shoppers who do something at all, and who click at each place."""
BUY_RATE = 0.3
RULES = """
[[rules]]
name = "{category} week"
do = "boost"
factor = 3.0
filter = {{ category = "{category}" }}

[[rules]]
name = "at most two of a brand"
do = "cap"
by = "brand"
most = 2

[[rules]]
name = "winter gifts"
do = "pin"
place = 3
filter = {{ category = "{category}", max_price = 30 }}
from = 2030-12-01T00:00:00Z
until = 2030-12-24T00:00:00Z
"""


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[LiveServer]:
    """A copy of the set, so that what is played stays out of the shop's own records."""
    folder = Path(tempfile.mkdtemp(prefix="beauty-rec-pictures-"))
    try:
        if given := os.environ.get("BEAUTY_REC_UI_DATA"):
            shutil.copytree(Path(given) / "serving", folder / "serving")
            if (Path(given) / "settings.json").exists():
                shutil.copy(Path(given) / "settings.json", folder)
        else:
            publish_synthetic(folder, Size(), load_encoder(tiny_model), encode=True)
        rules = folder / "rules.toml"
        rules.touch()
        with live_server(folder, folder / "log", f"rules={rules}") as server:
            rules.write_text(RULES.format(category=lower_down(server.client)))
            deadline = time.monotonic() + 20
            while server.client.get("/readyz").json()["rules"] != 3:
                assert time.monotonic() < deadline, "the rules are not at work"
                time.sleep(0.1)
            play(server.client)
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def lower_down(shop: httpx.Client) -> str:
    """The category of an item that the first shopper finds in the lower half of the answer."""
    users = shop.get("/v1/sample-users").json()
    items = shop.post("/v1/recommend", json={"user_id": users[0]["user_id"]}).json()["items"]
    above = {item["category"] for item in items[:4]}
    below = [item["category"] for item in items[4:] if item["category"]]
    return str(next((name for name in below if name not in above), below[0]))


def play(shop: httpx.Client) -> None:
    """Let people look, click and buy for a while."""
    random = Random(5)
    users = [user["user_id"] for user in shop.get("/v1/sample-users").json()] or ["somebody"]
    events = []
    for turn in range(240):
        asked = {"user_id": users[turn % len(users)], "k": 10}
        answer = shop.post("/v1/recommend", json=asked).raise_for_status().json()
        if random.random() > LOOK_RATE:
            continue
        for item, rate in zip(answer["items"], CLICK_RATES, strict=False):
            if random.random() < rate:
                kinds = ["click", "purchase"] if random.random() < BUY_RATE else ["click"]
                events += [
                    # By a guest: the sample shoppers stay as they are.
                    {"user_id": f"guest {turn}", "parent_asin": item["parent_asin"],
                     "type": kind, "recommendation_id": answer["recommendation_id"]}
                    for kind in kinds
                ]  # fmt: skip
    for start in range(0, len(events), 100):
        shop.post("/v1/events", json=events[start : start + 100]).raise_for_status()


@pytest.fixture
def picture(browser: Browser, server: LiveServer, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Return what opens a view and takes its picture, once it has come to rest."""
    folder = os.environ.get("BEAUTY_REC_SCREENSHOTS")
    contexts = []

    def take(
        name: str, view: str, size: dict[str, int], act: Callable[[Page], object] | None = None
    ) -> None:
        context = browser.new_context(
            viewport=size,  # type: ignore[arg-type]
            reduced_motion="reduce",
        )
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(f"sessionStorage.setItem('key', {KEY!r})")
        page.goto(f"{server.url}/{view}")
        expect(page.locator("#status")).not_to_be_empty()
        if act is not None:
            act(page)
        expect(page.locator("#results")).to_have_attribute("aria-busy", "false")
        page.mouse.move(0, 0)  # no item is lit up
        page.wait_for_timeout(500)
        path = (ROOT / folder if folder else tmp_path) / f"{name}.png"
        page.screenshot(path=path)
        assert LEAST_BYTES < path.stat().st_size < MOST_BYTES

    yield take
    for context in contexts:
        context.close()


def as_a_shopper(page: Page) -> None:
    page.get_by_label("Sample shopper").select_option(index=1)
    expect(page.locator("#user-hint")).to_contain_text("Lately")


def test_the_page_at_a_desk(picture: Callable[..., None]) -> None:
    picture("page", "", DESK, as_a_shopper)


def test_a_feed_with_a_filter(picture: Callable[..., None]) -> None:
    def act(page: Page) -> None:
        as_a_shopper(page)
        page.get_by_text("Filters and variety").click()
        page.get_by_label("Price up to").fill("40")
        page.get_by_role("button", name="Show the feed").click()
        expect(page.locator(".shelf").first).to_be_visible()

    picture("page-feeds", "#/feeds/because-you-bought", DESK, act)


def test_the_operator_at_a_desk(picture: Callable[..., None]) -> None:
    picture("page-operator", "#/operator", DESK)


def test_the_page_on_a_phone(picture: Callable[..., None]) -> None:
    def act(page: Page) -> None:
        as_a_shopper(page)
        page.get_by_role("button", name="Recommend").click()

    picture("page-phone", "", PHONE, act)


def test_the_operator_on_a_phone(picture: Callable[..., None]) -> None:
    picture("page-operator-phone", "#/operator", PHONE)
