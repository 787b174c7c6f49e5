"""Why an item is in the answer: only what the data say, counted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bm25s.stopwords import STOPWORDS_EN
from numpy.typing import NDArray

from beauty_rec.items.keyword_ranking import words
from beauty_rec.items.vocabulary import SPECIAL, UNKNOWN
from beauty_rec.ranking.features.build import FeatureBuilder, Query, named_values
from beauty_rec.recommender.online.stock.catalogue import Catalogue
from beauty_rec.recommender.space import ItemSpace

LEAST_COSINE = 0.5
MOST_ATTRIBUTES = 3
MOST_KEYWORDS = 3
_COMMON = frozenset(STOPWORDS_EN)


class Reasons:
    """Evidence for one question; ask :meth:`of` for each answered item."""

    def __init__(
        self, catalogue: Catalogue, space: ItemSpace, builder: FeatureBuilder, query: Query
    ) -> None:
        self._catalogue, self._space, self._builder = catalogue, space, builder
        table, vocabulary = builder.table, builder.vocabulary
        self._known = [row for name in query.history if (row := space.row_of.get(name, -1)) >= 0]
        latest = dict.fromkeys(reversed(self._known))
        self._known = [row for row in latest if not catalogue.hidden[row]]  # and never shown
        self._past_texts = space.texts(np.array(self._known, dtype=np.int64))
        past = [table.row_of[name] for name in dict.fromkeys(query.history) if name in table.row_of]
        self._counts = Counter(table.sparse[past].ravel().tolist())
        self._past = len(past)
        self._asked = frozenset(words(query.context or "")) - _COMMON
        named = named_values(query, builder.spec).items()
        ids = {vocabulary.id_of(field, value) for field, value in named}
        self._named = {i for i in ids if i > UNKNOWN}

    def of(self, row: int) -> list[dict[str, Any]]:
        """Return the evidence for the item in a row of the catalogue, strongest kind first."""
        card = self._catalogue.card(row)
        return [
            *self._similar(row),
            *self._attributes(card["parent_asin"]),
            *self._keywords(card["keywords"], card["keyword_reviews"]),
        ]

    def _similar(self, row: int) -> list[dict[str, Any]]:
        if not self._known:
            return []
        own: NDArray[np.float32] = self._space.texts(np.array([row]))[0]
        cosines = self._past_texts @ own
        best = int(cosines.argmax())
        past = self._known[best]
        if cosines[best] < LEAST_COSINE or past == row:
            return []
        card = self._catalogue.card(past)
        return [
            {
                "kind": "similar",
                "text": card["title"] or card["parent_asin"],
                "parent_asin": card["parent_asin"],
                "cosine": round(float(cosines[best]), 3),
            }
        ]

    def _attributes(self, parent_asin: str) -> list[dict[str, Any]]:
        table, vocabulary = self._builder.table, self._builder.vocabulary
        place = table.row_of.get(parent_asin)
        if place is None:
            return []
        ids = [i for i in dict.fromkeys(table.sparse[place].tolist()) if i >= len(SPECIAL)]
        entry = {i: vocabulary.entries[i - len(SPECIAL)] for i in ids}
        found = [
            {"kind": "context" if e.field == "context" else "profile", "field": e.field,
             "text": e.value}
            for i, e in entry.items() if i in self._named
        ]  # fmt: skip
        # Rare values that many past items share tell most.
        least = 1 if self._past == 1 else 2
        items = max(1, len(table.ids))
        shared = [i for i in ids if self._counts[i] >= least and i not in self._named]
        shared = [i for i in shared if not entry[i].field.startswith(("buyer_", "context"))]
        shared.sort(key=lambda i: -self._counts[i] * np.log(items / max(1, entry[i].items)))
        return found + [
            {"kind": "attribute", "field": entry[i].field, "text": entry[i].value,
             "count": self._counts[i], "of": self._past}
            for i in shared[:MOST_ATTRIBUTES]
        ]  # fmt: skip

    def _keywords(self, keywords: Sequence[str], reviews: Sequence[int]) -> list[dict[str, Any]]:
        given = list(zip(keywords, reviews, strict=True))
        matched = [pair for pair in given if self._asked & set(words(pair[0]))]
        chosen = (matched or given)[:MOST_KEYWORDS]
        return [{"kind": "keyword", "text": said, "count": count} for said, count in chosen]


def attributes_of(builder: FeatureBuilder, parent_asin: str) -> dict[str, list[str]]:
    """Return the values that the models know of an item, by field."""
    place = builder.table.row_of.get(parent_asin)
    found: dict[str, list[str]] = {}
    if place is None:
        return found
    for i in dict.fromkeys(builder.table.sparse[place].tolist()):
        if i >= len(SPECIAL):
            entry = builder.vocabulary.entries[i - len(SPECIAL)]
            found.setdefault(entry.field, []).append(entry.value)
    return found


def profile_columns(profile: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """Return the columns of a given profile that the models read."""
    return {name: value for name, value in profile.items() if name in known}
