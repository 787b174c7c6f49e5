"""The operator's view: behind the key, figures as the server counts them, refusals with reasons."""

import shutil
import tempfile
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from beauty_rec.measures.intervals import wilson_interval
from beauty_rec_tests.recommender.served_set import KEY, USER
from beauty_rec_tests.recommender.synthetic_set import Size, load_encoder, publish_synthetic
from beauty_rec_tests.serving.live import LiveServer, live_server

pytestmark = pytest.mark.ui
EXPERIMENT = {
    "state": "running", "refused": None, "name": "bold-or-not", "metric": "ctr", "alpha": 0.05,
    "control": "now", "started_at": "2026-03-01T09:00:00+00:00", "better": "bold",
    "variants": [
        {"name": name, "share": 0.5, "set": "91b0c4d2e8aa3f10", "settings": settings,
         "users": 1003, "answers": 3120, "shown": 31200, "clicks": 1250, "purchases": 210,
         "ctr": ctr, "ctr_low": ctr - 0.003, "ctr_high": ctr + 0.003,
         "conversion": 0.0067, "conversion_low": 0.0057, "conversion_high": 0.0077}
        for name, ctr, settings in (("now", 0.040, {}), ("bold", 0.046, {"order": "gbdt"}))
    ],
    "comparisons": [], "verdict": "bold is better than now: ctr +15.0 %, p = .012",
    "shadow": {"name": "next", "set": "8c1d", "answered": 900, "dropped": 12, "failed": 0,
               "overlap_at_10": 0.71, "seconds": 0.02},
    "served": {"set": "91b0c4d2e8aa3f10", "settings": {}, "why": "published",
               "since": "2026-03-01T09:00:00+00:00", "pinned": False},
    "sets": [{"set": "91b0c4d2e8aa3f10", "published_at": "2026-03-01T09:00:00+00:00",
              "is_served": True, "is_latest": True, "is_loaded": True}],
}  # fmt: skip


def operate(page: Page) -> None:
    page.get_by_role("link", name="Operator").click()
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="How the shop is served")).to_be_visible()


def test_it_is_behind_the_key(page: Page) -> None:
    page.get_by_role("link", name="Operator").click()
    dialog = page.get_by_role("dialog", name="This server asks for a key")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#status")).to_have_text("No key was given.")
    expect(page.locator(".operator")).to_have_count(0)
    page.get_by_role("button", name="Give the key").click()
    page.get_by_label("API key").fill("not the key at all")
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="How the shop is served")).to_be_visible()
    page.get_by_role("link", name="For you").click()
    expect(page.get_by_role("region", name="Answer")).to_be_visible()


def test_clicks_are_counted_with_an_interval(page: Page, server: LiveServer) -> None:
    with httpx.Client(base_url=server.url, headers={"X-API-Key": KEY}, timeout=20) as shop:
        answer = shop.post("/v1/recommend", json={"user_id": USER, "k": 10}).json()
        event = {"user_id": "clicker", "parent_asin": answer["items"][0]["parent_asin"],
                 "type": "click", "recommendation_id": answer["recommendation_id"]}  # fmt: skip
        assert shop.post("/v1/events", json=event).json()["attributed"] == 1
    operate(page)
    rates = page.get_by_role("table", name="Click-through by version")
    row = rates.get_by_role("row", name=answer["version"][:8])
    expect(row).to_contain_text("served")
    rate, _, shown, clicked, bought = row.get_by_role("cell").all_text_contents()
    low, high = wilson_interval(int(clicked), int(shown.replace(",", "")))
    assert int(clicked) >= 1
    assert int(bought) == 0

    def said(share: float) -> str:
        return f"{share * 100:.{2 if share < 0.1 else 1}f}%"

    assert f"{said(low)} to {said(high)}" in rate


def test_rules_and_refusals_are_shown_with_the_reason(page: Page, server: LiveServer) -> None:
    operate(page)
    rules = page.get_by_role("table", name="Rules of the shop")
    expect(rules.get_by_role("row", name="long over")).to_contain_text("not now")
    expect(rules.get_by_role("row", name="gym days")).to_contain_text("always")
    state = httpx.get(f"{server.url}/v1/operations", headers={"X-API-Key": KEY}, timeout=20).json()
    expect(page.locator("#notes li")).to_have_count(0)

    def refused(route) -> None:
        wrong = {**state["set"], "refused": "item_vectors: a part is missing"}
        route.fulfill(json={**state, "set": wrong})

    page.route("**/v1/operations", refused)
    page.get_by_role("link", name="Feeds").click()
    expect(page.locator("#status")).to_contain_text("items")
    page.get_by_role("link", name="Operator").click()
    expect(page.locator("#notes")).to_contain_text("item_vectors: a part is missing")
    expect(page.locator(".tile.bad")).to_contain_text("refuses the newest")


def test_an_experiment_is_shown_with_its_variants_and_verdict(page: Page) -> None:
    page.route("**/v1/experiment", lambda route: route.fulfill(json=EXPERIMENT))
    operate(page)
    expect(page.get_by_text("bold is better than now")).to_be_visible()
    variants = page.get_by_role("table", name="Variants")
    expect(variants.get_by_role("row", name="bold better")).to_contain_text("4.60% 4.30% to 4.90%")
    expect(variants.get_by_role("row", name="bold better")).to_contain_text("order gbdt")
    expect(page.get_by_text("In its shadow next: 900 answered")).to_be_visible()
    expect(page.get_by_role("table", name="Published sets")).to_contain_text("served, latest")


def test_without_a_key_on_the_server_the_view_says_what_to_set(page: Page) -> None:
    page.route("**/v1/operations", lambda route: route.fulfill(
        status=403, content_type="application/problem+json",
        body='{"title":"Not allowed","detail":"this needs a key"}'))  # fmt: skip
    page.get_by_role("link", name="Operator").click()
    expect(page.locator("#status")).to_contain_text("set serve.api_key")


def test_an_answer_that_comes_late_does_not_take_the_place_of_the_view(page: Page) -> None:
    held: list[Route] = []
    page.route("**/v1/recommend", lambda route: held.append(route))
    page.get_by_role("button", name="Recommend").click()
    operate(page)
    with page.expect_response("**/v1/recommend"):
        held[0].continue_()
    page.wait_for_timeout(300)
    expect(page.get_by_role("heading", name="How the shop is served")).to_be_visible()
    expect(page.locator(".card")).to_have_count(0)


def test_of_several_shops_the_figures_are_of_the_one_alone(
    browser: Browser, tiny_model: Path
) -> None:
    made = Path(tempfile.mkdtemp(prefix="beauty-rec-ui-"))
    folders = {"perfumes": made / "perfumes", "soaps": made / "soaps"}
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    try:
        encoder = load_encoder(tiny_model)
        for seed, folder in enumerate(folders.values(), 21):
            publish_synthetic(folder, Size(items=80, seed=seed), encoder, encode=True)
        with live_server(folders, made / "log") as server:
            for k in (7, 8):  # that many items are shown in the other shop
                server.client.post("/v1/shops/perfumes/recommend", json={"k": k})
            own = server.client.post("/v1/shops/soaps/recommend", json={"k": 5}).json()["version"]
            page = context.new_page()
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            page.goto(f"{server.url}/?shop=soaps")
            operate(page)
            assert f"{server.url}/v1/shops/soaps/metrics" in asked
            assert f"{server.url}/metrics" not in asked
            rows = page.get_by_role("table", name="Click-through by version").get_by_role("row")
            expect(rows).to_have_count(2)  # its head, and the shop's own set
            expect(rows.nth(1)).to_contain_text(own[:8])
            requests = page.locator(".tile", has=page.get_by_role("heading", name="Requests"))
            expect(requests).to_contain_text("recommend: p50")
            expect(requests).not_to_contain_text("–")
    finally:
        context.close()
        shutil.rmtree(made, ignore_errors=True)
