"""A served set with rules, a browser, and the page: opened, and nothing may go wrong on it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from beauty_rec_tests.recommender.synthetic_set import Size, load_encoder, publish_synthetic
from beauty_rec_tests.serving.live import LiveServer, live_server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
RULES = """
[[rules]]
name = "gym days"
do = "boost"
factor = 50.0
filter = { category = "soap" }
when = { kind = ["occasion"] }

[[rules]]
name = "long over"
do = "exclude"
filter = { category = "mascara" }
until = 2020-01-01T00:00:00Z
"""


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[LiveServer]:
    folder = Path(tempfile.mkdtemp(prefix="beauty-rec-ui-"))
    try:
        publish_synthetic(folder, Size(), load_encoder(tiny_model), encode=True)
        (folder / "rules.toml").write_text(RULES)
        with live_server(folder, folder / "log", f"rules={folder / 'rules.toml'}") as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.fail("no chromium on the PATH: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, server: LiveServer) -> Iterator[Page]:
    """The page, loaded; at the end nothing may have gone wrong or gone elsewhere."""
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",  # a refused request is reported there too; the page has its own words for it
        lambda said: (
            wrong.append(said.text)
            if said.type == "error" and not said.text.startswith("Failed to load resource")
            else None
        ),
    )
    page.on(
        "request",
        lambda request: None if request.url.startswith(server.url) else wrong.append(request.url),
    )
    page.goto(server.url)
    expect(page.locator("#status")).to_contain_text("recommendations")
    yield page
    context.close()
    assert wrong == []
