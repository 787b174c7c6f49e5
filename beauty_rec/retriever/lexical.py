"""Lexical retrieval: BM25 over the words of item texts (see :mod:`.words`).

Lucene's form with k1 1.5 and b 0.75. Robertson and Zaragoza, The Probabilistic Relevance Framework:
BM25 and Beyond, 2009.

>>> index = LexicalIndex.build(["a", "b"], ["rose soap", "night cream"])
>>> index.scores(["a soap of roses"]).argmax(axis=1).tolist()
[0]
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from beauty_rec.artifacts import atomic_path
from beauty_rec.retriever.words import numbered, words_of

K1, B = 1.5, 0.75


@dataclass(frozen=True)
class LexicalIndex:
    """Postings by word; ``data[start[w] : start[w + 1]]`` are what word ``w`` adds to ``rows``.

    Attributes:
        ids: of the N items.
        words: stem → its number.
        start: int64 ``[V + 1]``.
        rows: int32, item of each posting.
        data: float32, the posting's share of the score.
        mean_length: words of a text, on average; what a later text is held against.
        size: texts that the index was built of.
        added: postings of texts that came later, by word: (row, share). A word that only they have
            is numbered after the others.
        pairs: neighbouring stems are a word too, such as ``nail polish``.
    """

    ids: list[str]
    words: dict[str, int]
    start: NDArray[np.int64]
    rows: NDArray[np.int32]
    data: NDArray[np.float32]
    mean_length: float
    size: int
    added: dict[int, list[tuple[int, float]]]
    pairs: bool = False

    @classmethod
    def build(
        cls, ids: Sequence[str], texts: Sequence[str], *, pairs: bool = False
    ) -> "LexicalIndex":
        """Index ``texts``, of the items ``ids``; a text may be empty."""
        words, rows, numbers = numbered(texts, pairs)
        size = len(texts)
        if not words:
            empty = np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32)
            return cls(list(ids), {}, *empty, 1.0, size, {}, pairs)
        lengths = np.bincount(rows, minlength=size)
        mean_length = float(lengths.mean())
        posted, counts = np.unique(numbers * size + rows, return_counts=True)
        numbers, rows = np.divmod(posted, size)
        start = np.append(0, np.cumsum(np.bincount(numbers, minlength=len(words))))
        scale = K1 * (1 - B + B * lengths / mean_length)
        shares = counts / (scale[rows] + counts)
        idf = _idf(size, start).astype(np.float32)
        data = (idf[numbers] * shares).astype(np.float32)
        rows = rows.astype(np.int32)
        return cls(list(ids), words, start, rows, data, mean_length, size, {}, pairs)

    def scores(self, queries: Sequence[str], *, room: int = 0) -> NDArray[np.float32]:
        """Return float32 ``[Q, N + room]``; 0 where query and text share no word."""
        found = np.zeros((len(queries), len(self.ids) + room), dtype=np.float32)
        for row, asked in enumerate(words_of(queries, self.pairs)):
            counts = Counter(self.words[word] for word in asked if word in self.words)
            numbers = [number for number in counts if number < len(self.start) - 1]
            weights = np.array([counts[number] for number in numbers], np.float32)
            found[row, : self.size] = self._shares[:, numbers] @ weights
            for number, count in counts.items():
                for place, share in self.added.get(number, ()):
                    found[row, place] += count * share
        return found

    def with_texts(self, ids: Sequence[str], texts: Sequence[str]) -> "LexicalIndex":
        """Return an index that has these texts too, in rows of their own; idf stays as it is."""
        words = dict(self.words)
        added = {word: list(posted) for word, posted in self.added.items()}
        for place, said in enumerate(words_of(texts, self.pairs), len(self.ids)):
            scale = K1 * (1 - B + B * len(said) / self.mean_length)
            for name, count in Counter(said).items():
                word = words.setdefault(name, len(words))
                idf = self._idf[min(word, len(self._idf) - 1)]
                added.setdefault(word, []).append((place, float(idf) * count / (count + scale)))
        return replace(self, words=words, ids=[*self.ids, *ids], added=added)

    @cached_property
    def _shares(self) -> sparse.csc_array:
        """The postings, float32 ``[size, V]``: what each word adds to each text."""
        posted = self.data, self.rows, self.start
        return sparse.csc_array(posted, (self.size, len(self.start) - 1))

    @cached_property
    def _idf(self) -> NDArray[np.float64]:
        return _idf(self.size, self.start)

    def save(self, folder: Path) -> None:
        """Write ``words.json``, ``ids.json`` and the postings as ``.npy``, atomically."""
        with atomic_path(folder) as draft:
            draft.mkdir()
            words = sorted(self.words, key=self.words.__getitem__)
            facts = {"words": words, "mean_length": self.mean_length, "pairs": self.pairs}
            numbers = [self.words[word] for word in words]
            (draft / "words.json").write_text(json.dumps(facts), encoding="utf-8")
            (draft / "ids.json").write_text(json.dumps(self.ids), encoding="utf-8")
            for name, array in (
                ("numbers", np.array(numbers, dtype=np.int64)),
                ("start", self.start),
                ("rows", self.rows),
                ("data", self.data),
            ):
                np.save(draft / f"{name}.npy", array)

    @classmethod
    def load(cls, folder: Path) -> "LexicalIndex":
        """Read what :meth:`save` wrote."""
        facts = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        arrays = {
            name: np.load(folder / f"{name}.npy", allow_pickle=False)
            for name in ("numbers", "start", "rows", "data")
        }
        ids = json.loads((folder / "ids.json").read_text(encoding="utf-8"))
        return cls(
            ids,
            dict(zip(facts["words"], arrays["numbers"].tolist(), strict=True)),
            arrays["start"],
            arrays["rows"],
            arrays["data"],
            facts["mean_length"],
            len(ids),
            {},
            facts.get("pairs", False),
        )


def _idf(size: int, start: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return ``log(1 + (N - n + 0.5) / (n + 0.5))`` of each word, n texts of N having it.

    The last is that of all words which no text had.
    """
    having = np.append(np.diff(start), 0)
    return np.asarray(np.log(1 + (size - having + 0.5) / (having + 0.5)))
