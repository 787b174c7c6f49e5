"""Text search over the built artifacts: encode the query, ask the served index, show the items."""

from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl
from pydantic import BaseModel

from beauty_rec.indexes.chroma import open_current
from beauty_rec.indexes.protocol import VectorIndex
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.settings import Settings

LABEL_CHARS = 100


class Hit(BaseModel):
    """One found item; ``score`` is the cosine similarity with the query."""

    parent_asin: str
    score: float
    title: str
    keywords: list[str]

    @property
    def label(self) -> str:
        """The title, or what reviewers said where there is none."""
        text = self.title or f"(no title) {', '.join(self.keywords)}"
        return text if len(text) <= LABEL_CHARS else text[: LABEL_CHARS - 1] + "…"


class TextSearch:
    """The text retriever, its index and the items' cards."""

    def __init__(self, encoder: TextEncoder, index: VectorIndex, items: pl.DataFrame) -> None:
        self._encoder = encoder
        self._index = index
        self._cards = {
            asin: (title, keywords)
            for asin, title, keywords in items.select(
                "parent_asin", "title", "keywords"
            ).iter_rows()
        }

    @classmethod
    @contextmanager
    def open(cls, settings: Settings) -> Iterator["TextSearch"]:
        """Yield the search of a data folder.

        Raises:
            FileNotFoundError: something was not built yet; the message says what to run.
        """
        data = settings.data_dir
        model = data / "models" / "text_retriever"
        items = data / "processed" / "merged_items.parquet"
        for path in (model, items):
            if not path.exists():
                raise FileNotFoundError(f"{path} is missing; run: beauty-rec run")
        with open_current(data / "chromadb") as index:
            yield cls(TextEncoder.load(model, settings.encoder), index, pl.read_parquet(items))

    def search(self, text: str, k: int) -> list[Hit]:
        """Return the ``k`` items nearest to ``text``, best first.

        Raises:
            ValueError: the text is empty.
        """
        if not text.strip():
            raise ValueError("the search text is empty")
        found = self._index.search(self._encoder.encode_queries([text]), k)
        return [
            Hit(
                parent_asin=asin,
                score=float(score),
                title=self._cards[asin][0],
                keywords=self._cards[asin][1][:5],
            )
            for asin, score in zip(found.ids[0], found.scores[0], strict=True)
        ]
