"""The words of the items, by field: of their whole texts, and of their titles alone.

A text holds what buyers wrote, so it answers a shopper's concern; a title names what the item is.
The two are scored apart, as fields are in BM25F (Zaragoza, Craswell, Taylor, Saria and Robertson,
Microsoft Cambridge at TREC-13, 2004), and what a title counts for is chosen with the other weights.
Kinds of products are often two words, so in titles neighbours are a word too: a dry shampoo is no
shampoo for dry hair.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from beauty_rec.retriever.lexical import LexicalIndex

TITLES = "titles"


@dataclass(frozen=True)
class ItemWords:
    """An index of each field."""

    texts: LexicalIndex
    titles: LexicalIndex

    @classmethod
    def build(
        cls, ids: Sequence[str], texts: Sequence[str], titles: Sequence[str | None]
    ) -> "ItemWords":
        """Index the items ``ids``; a text may be empty, a title None, too."""
        named = [title or "" for title in titles]
        return cls(LexicalIndex.build(ids, texts), LexicalIndex.build(ids, named, pairs=True))

    def with_items(
        self, ids: Sequence[str], texts: Sequence[str], titles: Sequence[str]
    ) -> "ItemWords":
        """Return the words of these items too, see :meth:`LexicalIndex.with_texts`."""
        return ItemWords(self.texts.with_texts(ids, texts), self.titles.with_texts(ids, titles))

    def save(self, folder: Path) -> None:
        """Write the index of the texts into ``folder``, that of the titles below it."""
        self.texts.save(folder)
        self.titles.save(folder / TITLES)

    @classmethod
    def load(cls, folder: Path) -> "ItemWords":
        """Read what :meth:`save` wrote; a set of before titles were indexed has no word of any."""
        texts, titles = LexicalIndex.load(folder), folder / TITLES
        if titles.exists():
            return cls(texts, LexicalIndex.load(titles))
        return cls(texts, LexicalIndex.build(texts.ids, [""] * len(texts.ids), pairs=True))
