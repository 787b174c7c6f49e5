"""Why an item is in the answer: only what the data say, counted."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bm25s.stopwords import STOPWORDS_EN
from numpy.typing import NDArray

from beauty_rec.items.keyword_ranking import words
from beauty_rec.items.vocabulary import SPECIAL, UNKNOWN
from beauty_rec.ranking.features.build import Query, named_values
from beauty_rec.recommender.online.stock.catalogue import Catalogue
from beauty_rec.recommender.path import AnswerPath

LEAST_COSINE = 0.5
MOST_ATTRIBUTES = 3
MOST_KEYWORDS = 3
_COMMON = frozenset(STOPWORDS_EN)


class Reasons:
    """Evidence for one question; ask :meth:`of` for the answered items."""

    def __init__(self, catalogue: Catalogue, path: AnswerPath, query: Query) -> None:
        space, table, builder = path.space, path.table, path.builder
        # What is said of the items now; the builder's own table is of when it was trained.
        self._space, self._table, self._vocabulary = space, table, builder.vocabulary
        known = [row for name in query.history if (row := space.row_of.get(name, -1)) >= 0]
        latest = dict.fromkeys(reversed(known))
        self.known = [row for row in latest if not catalogue.hidden[row]]  # and never shown
        """Rows of past items that may be named."""
        self._past_texts = space.texts(np.array(self.known, dtype=np.int64))
        past = [table.row_of[name] for name in dict.fromkeys(query.history) if name in table.row_of]
        self._counts = Counter(table.sparse[past].ravel().tolist())
        self._past = len(past)
        self._asked = frozenset(words(query.context or "")) - _COMMON
        named = named_values(query, builder.spec).items()
        ids = {self._vocabulary.id_of(field, value) for field, value in named}
        self._named = {i for i in ids if i > UNKNOWN}
        self._worth = self._worths()

    def of(
        self, rows: NDArray[np.int64], cards: Mapping[int, Mapping[str, Any]]
    ) -> list[list[dict[str, Any]]]:
        """Return the evidence for the items in some rows of the catalogue, strongest kind first.

        Args:
            rows: int64 ``[K]``.
            cards: of these rows and of :attr:`known` ones.
        """
        return [
            [
                *similar,
                *self._attributes(cards[row]["parent_asin"]),
                *self._keywords(cards[row]["keywords"], cards[row]["keyword_reviews"]),
            ]
            for row, similar in zip(rows.tolist(), self._similar(rows, cards), strict=True)
        ]

    def _similar(
        self, rows: NDArray[np.int64], cards: Mapping[int, Mapping[str, Any]]
    ) -> list[list[dict[str, Any]]]:
        if not self.known:
            return [[] for _ in rows]
        cosines = self._space.texts(rows) @ self._past_texts.T
        best = cosines.argmax(axis=1)
        found = []
        for row, place, cosine in zip(
            rows.tolist(), best.tolist(), cosines.max(axis=1).tolist(), strict=True
        ):
            past = self.known[place]
            card = cards[past]
            reason = {
                "kind": "similar",
                "text": card["title"] or card["parent_asin"],
                "parent_asin": card["parent_asin"],
                "cosine": round(cosine, 3),
            }
            found.append([] if cosine < LEAST_COSINE or past == row else [reason])
        return found

    def _attributes(self, parent_asin: str) -> list[dict[str, Any]]:
        table, vocabulary = self._table, self._vocabulary
        place = table.row_of.get(parent_asin)
        if place is None:
            return []
        ids = dict.fromkeys(table.sparse[place].tolist())
        named = [i for i in ids if i in self._named]
        shared = sorted([i for i in ids if i in self._worth], key=self._worth.__getitem__)
        shared = shared[:MOST_ATTRIBUTES]
        entry = {i: vocabulary.entries[i - len(SPECIAL)] for i in (*shared, *named)}
        found = [
            {"kind": "context" if entry[i].field == "context" else "profile",
             "field": entry[i].field, "text": entry[i].value}
            for i in named
        ]  # fmt: skip
        return found + [
            {"kind": "attribute", "field": entry[i].field, "text": entry[i].value,
             "count": self._counts[i], "of": self._past}
            for i in shared
        ]  # fmt: skip

    def _worths(self) -> dict[int, float]:
        """Return what each id of the past tells, less being more: rare ones of many items."""
        items, least = max(1, len(self._table.ids)), 1 if self._past == 1 else 2
        entries, found = self._vocabulary.entries, {}
        for i, count in self._counts.items():
            if i < len(SPECIAL) or count < least or i in self._named:
                continue
            entry = entries[i - len(SPECIAL)]
            if not entry.field.startswith(("buyer_", "context")):
                found[i] = -count * math.log(items / max(1, entry.items))
        return found

    def _keywords(self, keywords: Sequence[str], reviews: Sequence[int]) -> list[dict[str, Any]]:
        given = list(zip(keywords, reviews, strict=True))
        matched = [pair for pair in given if self._asked and self._asked & set(words(pair[0]))]
        chosen = (matched or given)[:MOST_KEYWORDS]
        return [{"kind": "keyword", "text": said, "count": count} for said, count in chosen]


def attributes_of(path: AnswerPath, parent_asin: str) -> dict[str, list[str]]:
    """Return the values of an item that have ids, by field."""
    place = path.table.row_of.get(parent_asin)
    found: dict[str, list[str]] = {}
    if place is None:
        return found
    for i in dict.fromkeys(path.table.sparse[place].tolist()):
        if i >= len(SPECIAL):
            entry = path.builder.vocabulary.entries[i - len(SPECIAL)]
            found.setdefault(entry.field, []).append(entry.value)
    return found


def profile_columns(profile: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """Return the columns of a given profile that the models read."""
    return {name: value for name, value in profile.items() if name in known}
