"""The page in headless Chromium: what people see, press and type; nothing leaves the machine.

``make test-ui`` runs these. They need Chromium (``apt-get install chromium``).
"""

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.ui
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def test_both_stages_stand_side_by_side(page: Page) -> None:
    expect(page.get_by_role("list", name="Candidates").get_by_role("listitem")).to_have_count(10)
    expect(page.locator("ol[aria-label=Answer] > li")).to_have_count(10)
    left = page.get_by_role("region", name="Candidates").bounding_box()
    right = page.get_by_role("region", name="Answer").bounding_box()
    assert left
    assert right
    assert abs(left["y"] - right["y"]) < 5
    assert left["x"] + left["width"] <= right["x"]
    card = page.locator(".card").first
    expect(card.locator("h3")).not_to_be_empty()
    expect(card.locator(".foot")).to_contain_text("place 1")
    expect(card.locator(".foot")).to_contain_text("user tower")


def test_a_learned_order_says_how_likely_an_item_is(page: Page) -> None:
    page.get_by_label("What for?").fill("wedding")
    page.get_by_role("button", name="Recommend").click()
    expect(page.locator(".card .foot").first).to_contain_text("likely")
    expect(page.get_by_role("region", name="Answer")).to_contain_text("DeepFM")
    page.get_by_text("Why this order").click()
    expect(page.locator(".stage.chosen header details p")).to_contain_text("chosen by hand")


def test_each_view_has_a_title_of_its_own(page: Page) -> None:
    for address, title in {
        "#/": "For you", "#/feeds/popular": "Popular", "#/search/rose%20soap": "“rose soap”",
        "#/operator": "Operator",
    }.items():  # fmt: skip
        page.evaluate("address => { location.hash = address; }", address)
        expect(page).to_have_title(f"{title} · beauty_rec")


def test_a_sample_shopper_brings_a_past_and_reasons(page: Page) -> None:
    before = page.locator(".card h3").all_text_contents()
    page.get_by_label("Sample shopper").select_option(index=1)
    expect(page.locator("#user-hint")).to_contain_text("Lately")
    expect(page.get_by_label("Height, cm")).not_to_have_value("")
    expect(page.locator(".why .similar").first).to_be_visible()
    assert page.locator(".card h3").all_text_contents() != before


def test_a_context_and_filters_change_the_answer(page: Page) -> None:
    page.get_by_label("What for?").fill("a rose soap for dry skin")
    page.get_by_text("Filters and variety").click()
    page.get_by_label("Category").fill("soap")
    page.get_by_role("button", name="Recommend").click()
    expect(page.locator(".card .facts").first).to_contain_text("soap")
    for facts in page.locator(".card .facts").all_text_contents():
        assert "soap" in facts
    page.get_by_label("Category").fill("soup")
    page.get_by_role("button", name="Recommend").click()
    expect(page.locator("#status")).to_contain_text("the nearest known: soap")


def test_search_then_like_then_recommend(page: Page) -> None:
    page.get_by_label("Search the catalogue").fill("lavender perfume")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text("lavender perfume")
    title = page.locator(".card h3").first.text_content()
    page.locator(".card .heart").first.click()
    expect(page.locator("#liked")).to_contain_text(str(title))
    page.get_by_role("button", name="Recommend").click()
    expect(page.locator(".why .similar").first).to_contain_text(str(title))
    page.get_by_role("button", name=f"Remove {title}").click()
    expect(page.locator("#liked li")).to_have_count(0)


def test_the_keyboard_is_enough(page: Page) -> None:
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"skip", "query", "user", "context", "height", "weight", "go", "heart"} <= reached
    page.locator(".card .heart").first.focus()
    page.keyboard.press("Space")
    expect(page.locator(".card .heart").first).to_have_attribute("aria-pressed", "true")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_what_items_say_is_text_and_no_markup(page: Page) -> None:
    """Titles of the API come without markup; the page does not rely on that."""

    def evil(route) -> None:
        answer = route.fetch().json()
        said = {"title": EVIL, "store": EVIL, "category": EVIL, "keywords": [EVIL]}
        first = {**answer["items"][0], **said, "keyword_reviews": [1]}
        route.fulfill(json={**answer, "items": [first]})

    page.route("**/v1/search?*", evil)
    page.get_by_label("Search the catalogue").fill(EVIL)
    page.keyboard.press("Enter")
    expect(page.locator(".card")).to_have_count(1)  # no more those of before
    expect(page.locator(".card h3")).to_have_text(EVIL)
    expect(page.locator(".card .why")).to_contain_text(EVIL)
    expect(page.locator("#status")).to_contain_text(EVIL)
    assert page.title() != "owned"
    assert page.locator("#results img, #results script").count() == 0


@pytest.mark.parametrize("width", [360, 768, 1024, 1920])
def test_no_width_scrolls_sideways(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.get_by_label("Sample shopper").select_option(index=1)
    expect(page.locator("#user-hint")).to_contain_text("Lately")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_says_when_the_server_is_away(page: Page) -> None:
    page.route("**/v1/recommend", lambda route: route.fulfill(
        status=503, content_type="application/problem+json",
        body='{"title":"Not now","detail":"more requests wait than may"}'))  # fmt: skip
    page.get_by_role("button", name="Recommend").click()
    expect(page.locator("#status")).to_have_text("more requests wait than may")
