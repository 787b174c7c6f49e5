"""The README is short, and says the same in both languages."""

import re
from pathlib import Path

import pytest

from beauty_rec_tests.docs.pages import DOCS, README, README_KO, Page

ENGLISH, KOREAN = Page.read(README), Page.read(README_KO)


@pytest.mark.parametrize("page", [ENGLISH, KOREAN], ids=["english", "korean"])
def test_it_is_read_in_a_minute_or_two(page: Page) -> None:
    assert len(page.path.read_text(encoding="utf-8").splitlines()) <= 150
    assert sum("docs/page.png" in link for link in page.links) == 1


def test_both_have_the_same_sections() -> None:
    levels = [
        [len(mark) for mark in re.findall(r"^(#+) ", page.prose, re.M)]
        for page in (ENGLISH, KOREAN)
    ]
    assert levels[0] == levels[1]


def test_both_have_the_same_code() -> None:
    """Apart from comments, which are translated."""
    code = [
        [(kind, re.sub(r"\s+# .*", "", text)) for kind, text in page.code]
        for page in (ENGLISH, KOREAN)
    ]
    assert code[0] == code[1]
    assert len(ENGLISH.code) >= 3


def test_both_have_the_same_tables_links_and_figures() -> None:
    assert ENGLISH.tables == KOREAN.tables
    other = {"README.ko.md": "README.md"}
    assert [other.get(link, link) for link in ENGLISH.links] == KOREAN.links
    assert ENGLISH.figures == KOREAN.figures
    assert len(ENGLISH.figures) > 50


def test_both_name_the_same_commands() -> None:
    spans = [sorted(re.findall(r"`([^`\n]+)`", page.prose)) for page in (ENGLISH, KOREAN)]
    assert spans[0] == spans[1]


@pytest.mark.parametrize("path", [README, README_KO, DOCS / "results.md"], ids=lambda p: p.name)
def test_a_split_that_chose_a_setting_is_not_shown_in_bold(path: Path) -> None:
    bold, head = [], list[str]()
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]] if line.startswith("|") else []
        head = (head or cells) if cells else []
        pairs = zip(head[1:], cells[1:], strict=True)
        bold += [line for name, cell in pairs if "valid" in name and cell.startswith("**")]
    assert not bold


def test_headline_results_are_those_of_the_results_page() -> None:
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|.*\.\d{3}.*\|$", ENGLISH.prose, re.M)
    assert len(rows) >= 7
    for row in rows:
        assert row in page, row
