"""All items in memory: exact search over the item matrix, filters, and items added while serving.

The matrix is ``[tower | statistics | text]``. A user vector asks all of it, a text only its last
block, so both are answered by one pass. At 112,590 items one pass over float32 takes 12 ms on two
slow cores for one request and 1.6 ms a request for sixteen; pgvector's HNSW takes about as long for
one, gains nothing by company, and filters and exclusions make it slower. So requests are answered
exactly, and scores are those of the pipeline.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from beauty_rec.recommender.cards import CARD_SCHEMA
from beauty_rec.retriever.packed_linear import PackedMatrix, packs
from beauty_rec.search.near_ties import SLACK, ranked
from beauty_rec.search.top import leading

SPARE_ROWS = 1_024
FEW_QUERIES = 12
"""Below it ``matrix @ queries.T`` is faster than the other way round (measured)."""
AS_IT_IS = 2
"""For so few queries the reordered matrix gains nothing."""


@dataclass(frozen=True)
class Filters:
    """What an item has to be; None: anything. Categories and brands ignore case."""

    category: str | None = None
    brand: str | None = None
    min_price: float | None = None
    max_price: float | None = None


@dataclass(frozen=True)
class Catalogue:
    """A snapshot; rows are only ever appended, and a replaced item's old row is not alive.

    Attributes:
        ids: of each row.
        matrix: float32 ``[capacity, W]``; rows from ``len(ids)`` on are spare.
        text_start: first column of the text block.
        cards: of the first rows; ``added`` has those of the rest, by row.
        has_text, alive: bool ``[capacity]``.
        packed: the first rows once more, in an order that many queries are answered faster in;
            None where PyTorch cannot make it.
    """

    ids: list[str]
    row_of: dict[str, int]
    matrix: torch.Tensor
    text_start: int
    tower_stop: int
    cards: pl.DataFrame
    added: Mapping[int, Mapping[str, Any]]
    has_text: NDArray[np.bool_]
    alive: NDArray[np.bool_]
    category: NDArray[np.object_]
    brand: NDArray[np.object_]
    price: NDArray[np.float32]
    packed: PackedMatrix | None

    @classmethod
    def of(
        cls,
        ids: list[str],
        matrix: NDArray[np.float32],
        tower_stop: int,
        text_start: int,
        cards: pl.DataFrame,
    ) -> "Catalogue":
        """Return the catalogue of a set.

        Args:
            ids: N unique names.
            matrix: float32 ``[N, W]``.
            tower_stop: columns of the item tower.
            text_start: first column of the text block; an item whose block is 0 has no text.
            cards: of the N items, in their order.
        """
        capacity = len(ids) + SPARE_ROWS
        kept = torch.zeros((capacity, matrix.shape[1]))
        kept.numpy()[: len(ids)] = matrix
        spare = [None] * SPARE_ROWS
        has_text = np.zeros(capacity, bool)
        has_text[: len(ids)] = matrix[:, text_start:].any(axis=1)
        return cls(
            ids,
            {name: row for row, name in enumerate(ids)},
            kept,
            text_start,
            tower_stop,
            cards,
            {},
            has_text,
            np.arange(capacity) < len(ids),
            np.array([*_lower(cards["category"]), *spare], dtype=object),
            np.array([*_lower(cards["brand"]), *spare], dtype=object),
            np.concatenate(
                [cards["price"].fill_null(np.nan).to_numpy(), np.full(SPARE_ROWS, np.nan)]
            ).astype(np.float32),
            PackedMatrix(kept[: len(ids)]) if packs() else None,
        )

    def __len__(self) -> int:
        return int(self.alive.sum())

    def card(self, row: int) -> dict[str, Any]:
        """Return the columns of :data:`~beauty_rec.recommender.cards.CARD_SCHEMA` of a row."""
        if row in self.added:
            return dict(self.added[row])
        return self.cards.row(row, named=True)

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return float32 ``[len(rows), W]``, a copy."""
        return self.matrix[torch.from_numpy(rows)].numpy()

    def texts(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the unit text vectors float32 ``[len(rows), T]``; zeros for an item without."""
        return self.vectors(rows)[:, self.text_start :]

    def passing(self, filters: Filters) -> NDArray[np.bool_] | None:
        """Return which rows pass, bool ``[rows]``; None when all do.

        A bound on the price leaves items without one out.
        """
        if filters == Filters():
            return None
        rows = len(self.ids)
        mask = np.ones(rows, bool)
        if filters.category is not None:
            mask &= self.category[:rows] == filters.category.strip().lower()
        if filters.brand is not None:
            mask &= self.brand[:rows] == filters.brand.strip().lower()
        if filters.min_price is not None:
            mask &= self.price[:rows] >= np.float32(filters.min_price)
        if filters.max_price is not None:
            mask &= self.price[:rows] <= np.float32(filters.max_price)
        return mask

    @property
    def gone(self) -> NDArray[np.int64]:
        """Rows whose item was replaced by a later row."""
        return np.flatnonzero(~self.alive[: len(self.ids)])

    def scores(self, queries: NDArray[np.float32]) -> torch.Tensor:
        """Return float32 ``[Q, rows]``, the inner products of all rows with ``[Q, W]``."""
        rows, asked = self.matrix[: len(self.ids)], torch.from_numpy(queries)
        if self.packed is None or len(asked) <= AS_IT_IS:
            return _product(asked, rows)
        found = self.packed.times(asked)
        if len(rows) == len(self.packed):
            return found
        return torch.cat([found, _product(asked, rows[len(self.packed) :])], dim=1)

    def best(
        self, scores: torch.Tensor, query: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the rows of the ``k`` best finite scores and exact scores, best first.

        Sums in float32 depend on where a row stands; so what may be among the best is summed again
        in float64, and ties are in the order of the rows, as the pipeline has them.
        """
        found, values = leading(scores, k + SLACK)
        rows = found[torch.isfinite(values)].numpy()
        exact = self.exact(rows, query)
        order = ranked(exact, rows)[:k]
        return rows[order], exact[order]

    def exact(self, rows: NDArray[np.int64], query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 ``[len(rows)]``: inner products, summed in float64."""
        return (self.vectors(rows).astype(np.float64) @ query.astype(np.float64)).astype(np.float32)

    def with_items(
        self, vectors: NDArray[np.float32], cards: Sequence[Mapping[str, Any]]
    ) -> "Catalogue":
        """Return a snapshot with further rows; an item of a known id is replaced.

        Args:
            vectors: float32 ``[M, W]``.
            cards: of the M items; ids are distinct.
        """
        start, stop = len(self.ids), len(self.ids) + len(cards)
        grown = self if stop <= len(self.matrix) else self._with_room(stop)
        names = [card["parent_asin"] for card in cards]
        # Snapshots before this one do not look beyond their own rows: no copy is needed.
        grown.matrix[start:stop] = torch.from_numpy(vectors)
        grown.has_text[start:stop] = vectors[:, self.text_start :].any(axis=1)
        grown.category[start:stop] = [(card["category"] or "").lower() or None for card in cards]
        grown.brand[start:stop] = [(card["brand"] or "").lower() or None for card in cards]
        grown.price[start:stop] = [
            np.nan if card["price"] is None else card["price"] for card in cards
        ]
        alive = grown.alive.copy()
        alive[[row for name in names if (row := self.row_of.get(name)) is not None]] = False
        alive[start:stop] = True
        rows = range(start, stop)
        return replace(
            grown,
            ids=[*self.ids, *names],
            row_of=self.row_of | dict(zip(names, rows, strict=True)),
            added={**self.added, **{r: dict(c) for r, c in zip(rows, cards, strict=True)}},
            alive=alive,
        )

    def _with_room(self, rows: int) -> "Catalogue":
        more = rows - len(self.matrix) + SPARE_ROWS
        return replace(
            self,
            matrix=torch.cat([self.matrix, torch.zeros(more, self.matrix.shape[1])]),
            has_text=np.concatenate([self.has_text, np.zeros(more, bool)]),
            alive=np.concatenate([self.alive, np.zeros(more, bool)]),
            category=np.concatenate([self.category, np.full(more, None)]),
            brand=np.concatenate([self.brand, np.full(more, None)]),
            price=np.concatenate([self.price, np.full(more, np.nan, np.float32)]),
        )


def new_card(parent_asin: str, **known: Any) -> dict[str, Any]:
    """Return a card with what is known; texts are empty and the rest None otherwise."""
    blank: dict[str, Any] = dict.fromkeys(CARD_SCHEMA)
    empty = {"title": "", "store": "", "summary": "", "keywords": [], "keyword_reviews": []}
    return blank | empty | known | {"parent_asin": parent_asin}


def _product(asked: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return ``asked @ rows.T``, float32 ``[Q, N]``."""
    if not 0 < len(asked) < FEW_QUERIES:
        return asked @ rows.T
    # One column takes another kernel, which is slower than two columns.
    two = torch.cat([asked, torch.zeros_like(asked)]) if len(asked) == 1 else asked
    return (rows @ two.T).T[: len(asked)].contiguous()


def _lower(names: pl.Series) -> list[str | None]:
    return names.str.to_lowercase().to_list()
