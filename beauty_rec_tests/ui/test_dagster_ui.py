"""What an operator sees: graph, asset, launchpad, partitions, schedules, in headless Chromium.

Uses the data folder that BEAUTY_REC_UI_DATA names, or builds a small synthetic sample. With
BEAUTY_REC_SCREENSHOTS=docs the pictures of the README are taken.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from beauty_rec_tests.ui.pages import CHROMIUM, ROOT, dagster_dev, query

if TYPE_CHECKING:
    from playwright.sync_api import Page

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.ui, pytest.mark.timeout(1800)]
LOCATION = "__repository__@beauty_rec"
SMALL = [
    *("--set", "sample.reviews=2500", "--set", "sample.items=600"),
    *("--set", "pairs.max_pairs=400"),
]
MATERIALIZED = """query Latest($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset {
    assetMaterializations(limit: 12) { partition runId } } } }"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished pipeline."""
    given = os.environ.get("BEAUTY_REC_UI_DATA")
    if given:
        return Path(given).absolute()
    folder = tmp_path_factory.mktemp("shop")
    run = [sys.executable, "-m", "beauty_rec.cli", "run", "--data-dir", str(folder), *SMALL]
    subprocess.run(run, cwd=ROOT, check=True)
    return folder


@pytest.fixture(scope="module")
def address(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with dagster_dev(data_dir, tmp_path_factory.mktemp("log") / "dagster.log") as found:
        yield found


@pytest.fixture(scope="module")
def page(address: str) -> Iterator["Page"]:
    if not Path(CHROMIUM).exists():
        pytest.skip("apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        opened = browser.new_page(viewport={"width": 1600, "height": 1000})
        opened.set_default_timeout(45_000)
        yield opened
        browser.close()


@pytest.fixture
def picture(page: "Page", tmp_path: Path):
    """Return what takes a picture of the page, once it has come to rest.

    One that the docs show takes the place of the one of before.
    """
    folder = ROOT / os.environ.get("BEAUTY_REC_SCREENSHOTS", tmp_path)

    def take(name: str) -> Path:
        page.wait_for_timeout(2500)
        path = folder / f"{name}.png"
        if not path.exists():
            path = tmp_path / path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=path)
        assert path.stat().st_size > 20_000
        return path

    return take


def test_the_global_graph_shows_the_groups(page, address: str, picture) -> None:
    page.goto(f"{address}/asset-groups")
    for group in ("raw", "features", "retriever", "towers", "index", "ranking", "serving"):
        page.get_by_text(group, exact=True).first.wait_for()
    picture("graph")


def test_a_group_shows_its_assets(page, address: str, picture) -> None:
    page.goto(f"{address}/locations/{LOCATION}/asset-groups/retriever")
    for asset in ("base_embeddings", "training_pairs", "text_retriever", "item_embeddings"):
        page.get_by_text(asset, exact=True).first.wait_for()
    picture("group")


def test_an_asset_page_shows_figures_examples_and_plots(page, address: str, picture) -> None:
    page.goto(f"{address}/assets/text_retriever")
    page.get_by_text("fine-tuned with in-batch negatives").first.wait_for()
    page.get_by_text("loss_curve").first.wait_for()
    picture("asset")
    page.goto(f"{address}/assets/retrieval_metrics")
    page.get_by_text("text_retriever recall@100").first.wait_for()
    page.get_by_role("button", name="Plots").or_(
        page.get_by_text("Plots", exact=True)
    ).first.click()
    picture("plots")
    page.goto(f"{address}/assets/item_embeddings?view=events")
    page.get_by_text("nearest_items").first.wait_for()
    picture("examples")


def test_checks_stand_beside_the_asset(page, address: str, picture) -> None:
    page.goto(f"{address}/assets/item_embeddings?view=checks")
    page.get_by_text("unit_vectors").first.wait_for()
    page.get_by_text("not_collapsed").first.wait_for()
    picture("checks")


def test_columns_have_meaning_and_lineage(page, address: str, picture) -> None:
    page.goto(f"{address}/assets/merged_items")
    page.get_by_text("what the retriever reads").first.wait_for()
    picture("columns")


def test_the_launchpad_offers_hyper_parameters(page, address: str, picture) -> None:
    page.goto(f"{address}/assets/text_retriever")
    button = page.get_by_role("button", name=re.compile("Materialize")).first
    button.wait_for()
    button.click(modifiers=["Shift"])
    page.get_by_text("Launchpad (configure assets)").wait_for()
    for word in ("fine_tune", "epochs", "learning_rate"):
        page.get_by_text(word).first.wait_for()
    picture("launchpad")


def test_one_split_is_backfilled_from_its_page(page, address: str, picture) -> None:
    def runs() -> dict[str, str]:
        told = query(address, MATERIALIZED, key={"path": ["keywords"]})
        latest: dict[str, str] = {}
        for event in told["assetOrError"]["assetMaterializations"]:
            latest.setdefault(event["partition"], event["runId"])
        return latest

    before = runs()
    page.goto(f"{address}/assets/keywords?view=partitions")
    page.get_by_text("valid", exact=True).first.wait_for()
    picture("partitions")
    page.get_by_role("button", name=re.compile("Materialize")).first.click()
    page.get_by_text("Launch runs to materialize keywords").wait_for()
    page.get_by_text("Select a partition or create one").click()
    choices = "[role=menuitem], .bp5-menu-item, label, [role=option]"
    page.locator(choices).filter(has_text="valid").last.click()
    page.keyboard.press("Escape")
    page.get_by_text("1 partition", exact=False).first.wait_for()
    picture("backfill")
    page.get_by_role("button", name=re.compile("^Launch")).last.click()
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and runs() == before:
        page.wait_for_timeout(2000)
    after = runs()
    changed = {split for split in after if after[split] != before.get(split)}
    assert changed == {"valid"}


def test_schedules_can_be_switched(page, address: str, picture) -> None:
    page.goto(f"{address}/automation")
    for name in ("nightly", "weekly_retrain"):
        page.get_by_text(name, exact=True).first.wait_for()
    picture("schedules")


def test_the_report_is_read_in_the_catalogue(page, address: str, picture) -> None:
    page.goto(f"{address}/assets/evaluation_report?view=events")
    page.get_by_text("cost seconds", exact=False).first.wait_for()
    picture("report")
