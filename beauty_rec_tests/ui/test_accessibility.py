"""Every view held against axe-core, in light and dark, at a desk and on a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from beauty_rec_tests.recommender.served_set import KEY
from beauty_rec_tests.serving.live import LiveServer

pytestmark = pytest.mark.ui
GRAVE = ("serious", "critical")
VIEWS = {
    "#/": "recommendations",
    "#/search/rose%20soap": "Nearest to",
    "#/feeds/trending": "items",
    "#/feeds/bought-together": "items",
    "#/similar/text/B130000003": "items",
    "#/operator": "read again",
}


def grave(page: Page) -> list[str]:
    """The rules that are broken in earnest, with the elements that break them."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {[node['html'] for node in one['nodes']][:3]}"
        for one in found
        if one["impact"] in GRAVE
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1360, 390])
def test_axe_finds_nothing_serious(
    browser: Browser, server: LiveServer, width: int, scheme: str
) -> None:
    # axe brings its own script, which the page's policy rightly refuses.
    context = browser.new_context(
        viewport={"width": width, "height": 844},
        color_scheme=scheme,  # type: ignore[arg-type]
        bypass_csp=True,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.add_init_script(f"sessionStorage.setItem('key', {KEY!r})")
    page.goto(server.url)
    wrong: dict[str, list[str]] = {}
    for view, said in VIEWS.items():
        page.goto(f"{server.url}/{view}")
        expect(page.locator("#status")).to_contain_text(said)
        expect(page.locator("#results")).to_have_attribute("aria-busy", "false")
        if view == "#/":
            page.get_by_label("Sample shopper").select_option(index=1)
            page.get_by_text("Filters and variety").click()
            page.get_by_label("What for?").fill("gym")
            page.locator(".card .heart").first.click()
            page.get_by_role("button", name="Recommend").click()
            expect(page.locator(".card .rules").first).to_be_visible()
        if found := grave(page):
            wrong[view] = found
    page.evaluate("document.getElementById('key-dialog').showModal()")
    if found := grave(page):
        wrong["the dialog"] = found
    page.evaluate("document.querySelector('label[for=key]').remove()")
    assert any(fault.startswith("label ") for fault in grave(page))  # it does look
    context.close()
    assert wrong == {}


@pytest.mark.parametrize("view", list(VIEWS))
@pytest.mark.parametrize("width", [320, 390, 768])
def test_no_view_scrolls_sideways(page: Page, server: LiveServer, view: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate(f"sessionStorage.setItem('key', {KEY!r})")
    page.goto(f"{server.url}/{view}")
    expect(page.locator("#status")).to_contain_text(VIEWS[view])
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_views_are_reached_by_keyboard_alone(page: Page) -> None:
    for name, said in {"Feeds": "items", "For you": "recommendations"}.items():
        link = page.get_by_role("navigation", name="Views").get_by_role("link", name=name)
        for _ in range(60):
            page.keyboard.press("Tab")
            if link.evaluate("node => node === document.activeElement"):
                break
        assert link.evaluate("node => getComputedStyle(node).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        expect(link).to_have_attribute("aria-current", "page")
        expect(page.locator("#status")).to_contain_text(said)
    page.keyboard.press("Home")
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "results"
    assert not page.url.endswith("#results")  # the address stays that of the view
    expect(page.get_by_role("region", name="Answer")).to_be_visible()
