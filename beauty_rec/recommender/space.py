"""All items in one matrix: what every source of candidates scores, exactly.

The matrix is ``[tower | statistics | text]``. A user vector asks all of it, a text only its last
block, so both are answered by one pass, over a copy that is quick to multiply; what may be among
the best is then looked at again. pgvector's HNSW takes about as long for one request, gains nothing
by company, and filters and exclusions make it slower. So requests are answered exactly, and scores
are those of the pipeline.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from beauty_rec.artifacts import Vectors
from beauty_rec.recommender.first_pass import FirstPass
from beauty_rec.recommender.scored import are_in
from beauty_rec.search.near_ties import SLACK, ranked
from beauty_rec.search.top import leading
from beauty_rec.towers.users.item_matrix import ItemMatrix, aligned

SPARE_ROWS = 1_024
AT_ONCE = 1 << 15
"""Values in float64: all of a request's would be memory that the system clears for each of them."""


class SpareRows:
    """Which spare rows are free, told to all snapshots that share them.

    Two shops may grow from one set: what one has written is not the other's to write.
    """

    def __init__(self, first: int) -> None:
        self._first = first
        self._lock = threading.Lock()

    def take(self, start: int, stop: int) -> bool:
        """Take rows, unless one of them was taken before; return whether they are the caller's."""
        with self._lock:
            if start < self._first:
                return False
            self._first = stop
            return True


@dataclass(frozen=True)
class ItemSpace:
    """A snapshot of the items' vectors; rows are only ever appended.

    Attributes:
        ids: of each row.
        matrix: float32 ``[N, W]``, the rows of the set.
        later: float32 ``[M, W]``, the rows after them, some of them spare.
        tower_stop: columns of the item tower.
        text_start: first column of the text block.
        has_text: bool, of each row.
        first_pass: the rows of the set once more, quick to multiply, and bounds for all.
        spare: what is free of ``later``.
    """

    ids: list[str]
    row_of: dict[str, int]
    matrix: torch.Tensor
    later: torch.Tensor
    tower_stop: int
    text_start: int
    has_text: NDArray[np.bool_]
    first_pass: FirstPass
    spare: SpareRows

    @classmethod
    def of(cls, items: ItemMatrix, texts: Vectors, *, spare: int = SPARE_ROWS) -> "ItemSpace":
        """Return the space of an item matrix.

        Args:
            items: of the user tower; it may lack a text block.
            texts: unit text vectors of the items that have a text.
            spare: rows kept free for items that come later.
        """
        matrix = np.asarray(items.matrix)
        if not items.text:  # a tower that reads no texts; the search does
            matrix = np.concatenate([matrix, aligned(texts, items.ids)], axis=1)
        text_start = items.tower + items.statistics
        kept = torch.zeros(matrix.shape)
        kept.numpy()[:] = matrix
        starts = sorted({0, items.tower, text_start} - {matrix.shape[1]})
        return cls(
            list(items.ids),
            {name: row for row, name in enumerate(items.ids)},
            kept,
            torch.zeros((spare, matrix.shape[1])),
            items.tower,
            text_start,
            np.asarray(matrix[:, text_start:].any(axis=1)),
            FirstPass.of(kept, starts),
            SpareRows(len(items.ids)),
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def width(self) -> int:
        """Columns of the matrix."""
        return self.matrix.shape[1]

    def rows(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Return the row of each of ``names``, int64; -1 for one that is not known."""
        return np.fromiter((self.row_of.get(name, -1) for name in names), np.int64, len(names))

    def vectors(self, rows: NDArray[np.int64], columns: slice = slice(None)) -> NDArray[np.float32]:
        """Return float32 ``[len(rows), W]``, or these columns of them; a copy."""
        # NumPy takes few rows at once; PyTorch starts its threads for them.
        first, early = len(self.matrix), self.matrix.numpy()[:, columns]
        if len(self.ids) == first or not len(rows) or rows.max() < first:
            return early[rows]
        found, late = np.empty((len(rows), early.shape[1]), np.float32), rows >= first
        found[~late] = early[rows[~late]]
        found[late] = self.later.numpy()[:, columns][rows[late] - first]
        return found

    def texts(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the unit text vectors float32 ``[len(rows), T]``; zeros for an item without."""
        return self.vectors(rows, slice(self.text_start, None))

    def text_queries(self, texts: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return queries ``[Q, W]`` that ask the text block alone for ``texts`` ``[Q, T]``."""
        return np.pad(texts, ((0, 0), (self.text_start, 0)))

    def scores(self, queries: NDArray[np.float32]) -> torch.Tensor:
        """Return float32 ``[Q, rows]``: about the inner products of all rows with ``[Q, W]``.

        Good for :meth:`best`, which knows how far they are off.
        """
        later = self.later[: len(self.ids) - len(self.matrix)]
        return self.first_pass.scores(torch.from_numpy(queries), later)

    def best(
        self,
        scores: torch.Tensor,
        query: NDArray[np.float32],
        k: int,
        among: NDArray[np.int64] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the rows of the ``k`` best finite scores and exact scores, best first.

        What may be among the best is summed again in float64, since sums in float32 depend on
        where a row stands; ties are in the order of the rows, as the pipeline has them. The exact
        scores of those that seem the best tell what another one has to reach.

        Args:
            scores: float32 ``[rows]``, of :meth:`scores`; ``-inf`` for what is hidden.
            query: float32 ``[W]``, that they answer.
            k: all are returned where there are no more.
            among: int64, ascending, the rows that are looked at; None: all.
        """
        own = scores if among is None else scores[torch.from_numpy(among)]
        places, _ = leading(own.numpy(), k + SLACK)
        exact = self.exact(places if among is None else among[places], query)
        if len(places) == k + SLACK:
            near = self.first_pass.contenders(own, query, float(exact.min()), among)
            new = near[~are_in(near, np.sort(places))]
            places = np.concatenate([places, new])
            further = self.exact(new if among is None else among[new], query)
            exact = np.concatenate([exact, further])
        rows = places if among is None else among[places]
        order = ranked(exact, rows)[:k]
        return rows[order], exact[order]

    def exact(self, rows: NDArray[np.int64], query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 ``[len(rows)]``: inner products, summed in float64."""
        told = np.flatnonzero(query)  # a text asks the last block alone
        columns = slice(told[0], told[-1] + 1) if len(told) else slice(0, 0)
        found, asked = np.empty(len(rows), np.float32), query[columns].astype(np.float64)
        step = AT_ONCE // max(1, len(asked)) + 1
        for start in range(0, len(rows), step):
            some = slice(start, start + step)
            found[some] = self.vectors(rows[some], columns).astype(np.float64) @ asked
        return found

    def with_items(self, names: Sequence[str], vectors: NDArray[np.float32]) -> "ItemSpace":
        """Return a space with further rows; a known name is found in its latest row."""
        start, stop, first = len(self.ids), len(self.ids) + len(names), len(self.matrix)
        is_free = stop - first <= len(self.later) and self.spare.take(start, stop)
        grown = self if is_free else self._with_room(stop)
        # Snapshots before this one do not look beyond their own rows: no copy is needed.
        grown.later[start - first : stop - first] = torch.from_numpy(vectors)
        texts = vectors[:, self.text_start :].any(axis=1)
        return replace(
            grown,
            has_text=np.concatenate([self.has_text, texts]),
            first_pass=grown.first_pass.with_rows(torch.from_numpy(vectors)),
            ids=[*self.ids, *names],
            row_of=self.row_of | dict(zip(names, range(start, stop), strict=True)),
        )

    def _with_room(self, rows: int) -> "ItemSpace":
        """Return a copy whose later rows are its own: ``rows`` in all, and spare ones."""
        more = max(rows - len(self.matrix) - len(self.later), 0) + SPARE_ROWS
        return replace(
            self,
            later=torch.cat([self.later, torch.zeros(more, self.width)]),
            spare=SpareRows(rows),
        )
