"""Candidates by title: BM25 of the ask's text over the items' titles, which name what they are."""

from dataclasses import dataclass
from typing import ClassVar

from beauty_rec.recommender.sources.lexical import LexicalSource


@dataclass(frozen=True)
class TitlesSource(LexicalSource):
    """``index`` and ``places`` are those of the titles."""

    name: ClassVar[str] = "titles"
