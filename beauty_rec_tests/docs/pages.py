"""Markdown pages taken apart: prose, code blocks, tables, headings, links."""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
README, README_KO = ROOT / "README.md", ROOT / "README.ko.md"
PAGES = [
    *(README, README_KO, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"),
    *sorted(DOCS.glob("*.md")),
]

_FENCE = re.compile(r"^(\s*)```(\w*)\n(.*?)^\1```$", re.M | re.S)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.M)
_NUMBER = re.compile(r"(?<![\w.])\.?\d[\d.,]*\d|\d")


@dataclass(frozen=True)
class Page:
    """A page of Markdown: ``code`` as (language, text), ``prose`` without it."""

    path: Path
    prose: str
    code: list[tuple[str, str]]

    @classmethod
    def read(cls, path: Path) -> "Page":
        """Take a file apart."""
        text = path.read_text(encoding="utf-8")
        return cls(path, _FENCE.sub("", text), [(m[2], m[3]) for m in _FENCE.finditer(text)])

    @property
    def headings(self) -> list[str]:
        """The text of each heading."""
        return _HEADING.findall(self.prose)

    @property
    def anchors(self) -> set[str]:
        """What a link to a heading of this page may say after ``#``."""
        words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in self.headings)
        return {word.replace(" ", "-") for word in words}

    @property
    def links(self) -> list[str]:
        """The targets of links and pictures."""
        return _LINK.findall(self.prose.replace("\n", " "))

    @property
    def tables(self) -> list[list[int]]:
        """Each table as the number of cells of its lines."""
        found: list[list[int]] = []
        lines = ["", *self.prose.splitlines()]
        for before, line in pairwise(lines):
            if line.startswith("|"):
                if not before.startswith("|"):
                    found.append([])
                found[-1].append(line.count("|") - 1)
        return found

    @property
    def figures(self) -> list[str]:
        """The numbers in the prose, as written; sorted."""
        return sorted(found.rstrip(".,") for found in _NUMBER.findall(self.prose))
