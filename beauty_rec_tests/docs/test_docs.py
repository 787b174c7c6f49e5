"""The docs build without a warning, and what they name is there."""

import gzip
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from beauty_rec.items.domain import Domain
from beauty_rec.sample.files import write_sample
from beauty_rec.settings import SampleSettings, child_environment
from beauty_rec_tests.docs.pages import DOCS, PAGES, ROOT, Page

PATHS = re.compile(
    r"`((?:beauty_rec|beauty_rec_tests|benchmarks|deploy|docs|examples)/[\w./-]*"
    r"|[\w.-]+\.(?:toml|yaml|yml|txt|md))`"
)
ASIN = re.compile(r"\bB0[0-9A-Z]{8}\b")
MADE_BY_RUNNING = {"report.md"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=child_environment(NO_MKDOCS_2_WARNING="1"),  # the theme's notice of its own future
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


class Elements(HTMLParser):
    """The ids of a page of HTML, what it links to, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in ("img", "script", "iframe", "source") and "src" in given:
            self.loads.append(given["src"])
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload"):
            self.loads.append(given["href"])


def test_every_link_and_anchor_of_the_site_leads_somewhere(site: Path) -> None:
    elements = cache(Elements)
    wrong = []
    for page in site.glob("*.html"):
        if page.name == "404.html":  # its links are those of a server's root
            continue
        for target in [*elements(page).links, *elements(page).loads]:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            other = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if other.is_dir():
                other = other / "index.html"
            missing = not other.is_file() or (
                parts.fragment
                and other.suffix == ".html"
                and unquote(parts.fragment) not in {"__skip", *elements(other).ids}
            )
            if missing:
                wrong.append(f"{page.name}: {target}")
    assert not wrong


def test_the_site_needs_no_network(site: Path) -> None:
    for page in site.glob("*.html"):
        assert not [t for t in Elements(page).loads if urlsplit(t).netloc], page.name
    for sheet in site.rglob("*.css"):
        assert not re.findall(r"(?:@import|url\()\s*[\"']?https?:", sheet.read_text("utf-8")), sheet


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_between_files_lead_somewhere(path: Path) -> None:
    """As on a page of the repository, where no site is built."""
    for target in Page.read(path).links:
        parts = urlsplit(target)
        if parts.scheme:
            continue
        other = (path.parent / parts.path).resolve() if parts.path else path
        assert other.is_file(), target
        assert other.is_relative_to(ROOT), target
        if parts.fragment:
            assert parts.fragment in Page.read(other).anchors, target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_files_that_a_page_names_are_there(path: Path) -> None:
    for name in PATHS.findall(Page.read(path).prose):
        places = [ROOT / name, *ROOT.glob(f"beauty_rec/**/{Path(name).name}")]
        if "/" in name:
            places = places[:1]
        elif name in MADE_BY_RUNNING or name.startswith("coffee"):
            continue
        assert any(place.exists() for place in places), name


def test_items_of_examples_are_those_of_the_sample(tmp_path: Path) -> None:
    """Who tries an example on the sample is not told that there is no such item."""
    sample = write_sample(tmp_path, SampleSettings())
    with gzip.open(sample.items, "rt", encoding="utf-8", errors="replace") as lines:
        known = set(ASIN.findall(lines.read()))
    named = {name for page in PAGES for name in ASIN.findall(page.read_text(encoding="utf-8"))}
    assert named
    assert named <= known


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_tables_are_whole_and_no_page_names_a_machine(path: Path) -> None:
    page = Page.read(path)
    for rows in page.tables:
        assert len(rows) >= 3, "a table has a header, a rule and a row"
        assert len(set(rows)) == 1, f"a table with lines of {rows} cells"
    everything = page.prose + "".join(text for _, text in page.code)
    assert not re.search(r"(?<![\w.])/(?:home|root|work|tmp|Users|mnt)/", everything)


def test_every_picture_is_shown() -> None:
    shown = {target for path in PAGES for target in Page.read(path).links}
    for picture in DOCS.glob("*.png"):
        assert {picture.name, f"docs/{picture.name}"} & shown, picture.name


def test_the_example_of_a_domain_is_one() -> None:
    import tomllib

    (text,) = [text for kind, text in Page.read(DOCS / "extend.md").code if kind == "toml"]
    domain = Domain.model_validate(tomllib.loads(text))
    assert list(domain.std) == ["category", "brand"]
    assert domain.re["taste"].phrases["nutty"] == ["nutty", "hazelnut", "almond"]


def test_the_drawn_graph_is_the_graph(tmp_path: Path) -> None:
    from beauty_rec.orchestration.code_location import build_definitions
    from beauty_rec.settings import Settings

    graph = build_definitions(Settings(data_dir=tmp_path)).resolve_asset_graph()
    real = {
        (parent.to_user_string(), key.to_user_string())
        for key in graph.get_all_asset_keys()
        for parent in graph.get(key).parent_keys
    }
    drawing = re.sub(r"\[.*?\]", "", (DOCS / "graph.mmd").read_text(encoding="utf-8"))
    drawn = set()
    for line in drawing.splitlines():
        names = [name.strip() for name in re.split(r"--(?:[^>]*?--)?>", line)]
        drawn |= set(pairwise(names))
    assert len(drawn) > 30
    assert not drawn - real
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    picture = (DOCS / "assets.svg").read_text(encoding="utf-8")
    for name in {key.to_user_string() for key in graph.get_all_asset_keys()}:
        assert f"`{name}`" in page, f"architecture.md does not name {name}"
        assert name in picture, f"assets.svg does not show {name}"
