"""A shop's day on the page: rules at work, filters, feeds, similar items, variants."""

import json
import re

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from beauty_rec_tests.recommender.served_set import KEY
from beauty_rec_tests.serving.live import LiveServer

pytestmark = pytest.mark.ui


def feed(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Views").get_by_role("link", name="Feeds").click()
    page.get_by_role("navigation", name="Feeds").get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()


def test_a_moved_item_says_which_rule_moved_it(page: Page) -> None:
    expect(page.locator(".card .rules")).to_have_count(0)
    page.get_by_label("What for?").fill("gym")
    page.get_by_role("button", name="Recommend").click()
    expect(page.get_by_role("region", name="Answer")).to_contain_text("the shop's rules moved")
    moved = page.locator(".card:has(.rules)")
    assert moved.count() > 0
    for card in moved.all():
        expect(card.locator(".rules")).to_contain_text("gym days")
        expect(card.locator(".facts")).to_contain_text("soap")
    places = {
        card.get_attribute("data-item"): place
        for place, card in enumerate(page.locator(".card").all(), 1)
    }
    for candidate in page.locator(".before li").all():
        place = places.get(candidate.get_attribute("data-item"))
        said = f"place {place} in the answer" if place else "not in the answer"
        expect(candidate.locator(".to")).to_have_attribute("title", said)


def test_choices_and_the_raw_filter_are_one(page: Page) -> None:
    page.get_by_text("Filters and variety").click()
    expect(page.locator("#category-values option")).to_have_count(8)
    page.get_by_label("Category").fill("soap, perfume")
    page.get_by_label("Price up to").fill("30")
    page.get_by_label("In stock only").check()
    raw = page.get_by_label("The same as JSON")
    expect(raw).not_to_have_value("")
    assert json.loads(raw.input_value()) == {
        "category": ["soap", "perfume"], "price": {"max": 30}, "in_stock": True,
    }  # fmt: skip
    page.get_by_role("button", name="Recommend").click()
    expect(page.locator(".card .facts").first).to_contain_text("$")
    for facts in page.locator(".card .facts").all_text_contents():
        assert "soap" in facts or "perfume" in facts
    raw.fill('{"scent": "rose", "not": {"category": "soap"}, "brand": "house 3"}')
    raw.blur()
    expect(page.get_by_label("Category")).to_have_value("")
    expect(page.get_by_label("Brand")).to_have_value("house 3")
    expect(page.locator("#filter-count")).to_have_text("3 at work")
    raw.fill("{no")
    raw.blur()
    expect(page.locator("#raw-fault")).to_be_visible()
    expect(raw).to_have_attribute("aria-invalid", "true")
    page.get_by_role("button", name="Start again").click()
    expect(raw).to_have_value("")
    expect(page.locator("#filter-count")).to_have_text("")


def test_filters_hold_in_a_search_and_in_a_feed(page: Page) -> None:
    page.get_by_text("Filters and variety").click()
    page.get_by_label("Category").fill("shampoo")
    page.get_by_label("Search the catalogue").fill("lavender")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text("lavender")
    assert all("shampoo" in text for text in page.locator(".card .facts").all_text_contents())
    feed(page, "New arrivals")
    expect(page.locator(".card").first).to_be_visible()
    assert all("shampoo" in text for text in page.locator(".card .facts").all_text_contents())


def test_every_feed_has_its_items_and_figures(page: Page) -> None:
    for name, figure in {
        "Trending": "is usual", "New arrivals": "sold", "Popular": "",
        "Bought together": "lift",
    }.items():  # fmt: skip
        feed(page, name)
        expect(page.locator("#status")).to_contain_text("items")
        expect(page.locator(".card .places").first).to_contain_text(figure)
    page.get_by_label("With the item").select_option(index=3)
    expect(page.locator("#status")).to_contain_text("items")
    feed(page, "Popular")
    page.get_by_label("Occasion").fill("gymm")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text("the nearest are gym")


def test_a_feed_that_waits_does_not_take_the_place_of_the_next(
    page: Page, server: LiveServer
) -> None:
    first, held = re.compile(r"/feeds/popular\?k=24"), list[Route]()
    page.route(first, lambda route: held.append(route))
    page.goto("about:blank")
    page.goto(f"{server.url}/#/feeds/bought-together")  # where no item was seen yet
    page.wait_for_function("document.body.dataset.view === 'feeds'")
    page.evaluate("location.hash = '#/feeds/trending'")
    expect(page.get_by_role("heading", name="Trending", exact=True)).to_be_visible()
    with page.expect_response(first):
        held[0].continue_()
    page.wait_for_timeout(300)
    expect(page.get_by_role("heading", name="Trending", exact=True)).to_be_visible()
    page.unroute(first)
    page.route(first, lambda route: route.fulfill(
        status=503, content_type="application/problem+json",
        body='{"title":"Not now","detail":"more requests wait than may"}'))  # fmt: skip
    page.goto("about:blank")
    page.goto(f"{server.url}/#/feeds/bought-together")
    expect(page.locator("#status")).to_contain_text("more requests wait than may")


def test_because_you_bought_has_shelves_or_says_why_not(page: Page, server: LiveServer) -> None:
    feed(page, "Because you bought")
    expect(page.locator("#status")).to_contain_text("Choose a sample shopper")
    page.get_by_label("Sample shopper").select_option(index=1)
    expect(page.locator(".shelf")).to_have_count(3)
    expect(page.locator(".shelf").first).to_contain_text("lift")
    page.get_by_text("Filters and variety").click()
    page.get_by_label("Price up to").fill("0.01")
    page.get_by_role("button", name="Show the feed").click()
    expect(page.locator("#notes")).to_contain_text("does not pass the filters")
    expect(page.locator("#status")).to_contain_text("Nothing to show")


def test_similar_by_text_vectors_and_baskets(page: Page) -> None:
    title = page.locator(".card h3").first.text_content()
    page.get_by_role("link", name=f"Similar to {title}").first.click()
    expect(page.get_by_role("heading", name=f"Like “{title}”")).to_be_visible()
    found = set()
    for by in ("By text", "By vectors", "By baskets"):
        page.get_by_role("link", name=by).click()
        expect(page.get_by_role("link", name=by)).to_have_attribute("aria-current", "true")
        expect(page.get_by_role("list", name="Similar items")).to_be_visible()
        expect(page.locator("#results")).to_have_attribute("aria-busy", "false")
        found.add(tuple(page.locator(".card h3").all_text_contents()))
    assert len(found) == 3
    page.go_back()
    page.go_back()
    page.go_back()
    expect(page.get_by_role("region", name="Answer")).to_be_visible()


def test_an_answer_of_an_experiment_names_its_variant(page: Page) -> None:
    def answer(route) -> None:
        given = route.fetch().json()
        route.fulfill(json={**given, "variant": "bold", "experiment": "spring"})

    expect(page.locator("#status")).not_to_contain_text("variant")
    page.route("**/v1/recommend", answer)
    page.get_by_role("button", name="Recommend").click()
    expect(page.locator("#status")).to_contain_text("variant bold of spring, set ")


def test_a_withdrawn_item_is_gone_from_the_page(page: Page, server: LiveServer) -> None:
    card = page.locator(".card").first
    item = card.get_attribute("data-item")
    assert item
    url, key = f"{server.url}/v1/items/{item}", {"X-API-Key": KEY}
    assert httpx.patch(url, json={"hidden": True}, headers=key, timeout=20).status_code == 200
    try:
        page.get_by_role("button", name="Recommend").click()
        expect(page.locator(f".card[data-item='{item}']")).to_have_count(0)
    finally:
        httpx.patch(url, json={"hidden": False}, headers=key, timeout=20)
