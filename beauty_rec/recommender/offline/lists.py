"""Candidates of many asks, as flat arrays and as a frame on disk."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.recommender.candidates import Found
from beauty_rec.recommender.fusion import normalised
from beauty_rec.recommender.sources import SIGNED, SOURCES

ROWS_AT_ONCE = 1 << 18
"""Candidates that are brought to one scale together: it takes several times their own memory."""


@dataclass(frozen=True)
class CandidateLists:
    """N candidates of Q asks, those of an ask in consecutive rows.

    Attributes:
        review_ids: of the events that ask.
        scenarios: how each was asked: ``with_text``, ``without_text`` or ``review_text``.
        ask: int64 ``[N]``, not falling.
        items: ``[N]`` ids, categorical.
        scores: float32 ``[N, S]``, of each of :data:`SOURCES`; NaN where it says nothing.
        tops: float32 ``[Q, S, 2]``; see :class:`~beauty_rec.recommender.candidates.Found`.
    """

    review_ids: list[str]
    scenarios: list[str]
    ask: NDArray[np.int64]
    items: pl.Series
    scores: NDArray[np.float32]
    tops: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        review_ids: Sequence[str],
        scenario: str,
        found: Iterable[Found],
        ids: Sequence[str],
        sources: Sequence[str],
    ) -> "CandidateLists":
        """Collect what was found for events, in their order.

        Args:
            review_ids: of the Q events.
            scenario: how they were asked.
            found: candidates of each.
            ids: of the rows of the item space.
            sources: names of the columns; those of :data:`SOURCES` that lack said nothing.
        """
        parts = list(found)
        lengths = [len(part.rows) for part in parts]
        columns = [SOURCES.index(name) for name in sources]
        scores = np.full((sum(lengths), len(SOURCES)), np.nan, np.float32)
        tops = np.full((len(parts), len(SOURCES), 2), np.nan, np.float32)
        start = 0
        for ask, part in enumerate(parts):
            scores[start : start + lengths[ask], columns] = part.scores
            tops[ask, columns] = part.tops
            start += lengths[ask]
        rows = np.concatenate([np.zeros(0, np.int64), *(part.rows for part in parts)])
        return cls(
            list(review_ids),
            [scenario] * len(parts),
            np.repeat(np.arange(len(parts)), lengths),
            pl.Series(list(ids), dtype=pl.Categorical)[rows],
            scores,
            tops,
        )

    @classmethod
    def joined(cls, parts: Sequence["CandidateLists"]) -> "CandidateLists":
        """Return several as one, in order."""
        starts = np.cumsum([0, *(len(part.review_ids) for part in parts)])
        return cls(
            [name for part in parts for name in part.review_ids],
            [name for part in parts for name in part.scenarios],
            np.concatenate([p.ask + start for p, start in zip(parts, starts, strict=False)]),
            pl.concat([part.items for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.tops for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.review_ids)

    @property
    def values(self) -> NDArray[np.float32]:
        """Scores on one scale, float32 ``[N, S]``; see :func:`normalised`."""
        found = np.empty_like(self.scores)
        for start in range(0, len(found), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            found[rows] = self.part_values(rows)
        return found

    def part_values(self, rows: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        """Return :attr:`values` of some rows."""
        return normalised(self.scores[rows], self.tops[self.ask[rows]], SIGNED)

    def asked(self, asks: NDArray[np.bool_]) -> "CandidateLists":
        """Return the lists of some asks, bool ``[Q]``."""
        kept = asks[self.ask]
        number = np.cumsum(asks) - 1
        return CandidateLists(
            [name for name, keep in zip(self.review_ids, asks, strict=True) if keep],
            [name for name, keep in zip(self.scenarios, asks, strict=True) if keep],
            number[self.ask[kept]],
            self.items.filter(pl.Series(kept)),
            self.scores[kept],
            self.tops[asks],
        )

    def without(self, items: Collection[str]) -> "CandidateLists":
        """Return the lists without some items."""
        kept = ~self.items.is_in(list(items)).to_numpy()
        return replace(
            self,
            ask=self.ask[kept],
            items=self.items.filter(pl.Series(kept)),
            scores=self.scores[kept],
        )

    def frame(self) -> pl.DataFrame:
        """Return one row an ask: ids, and for each source a list of scores and its two tops."""
        lengths = np.bincount(self.ask, minlength=len(self))
        place = np.concatenate([[0], np.cumsum(lengths)])
        columns = {
            name: as_lists(pl.Series(self.scores[:, number]), place)
            for number, name in enumerate(SOURCES)
        }
        return pl.DataFrame(
            {
                "review_id": pl.Series(self.review_ids, dtype=pl.String),
                "scenario": pl.Series(self.scenarios, dtype=pl.String),
                "parent_asin": as_lists(self.items.cast(pl.String), place),
                **columns,
                **{
                    f"{name}_{end}": pl.Series(self.tops[:, number, side], dtype=pl.Float32)
                    for number, name in enumerate(SOURCES)
                    for side, end in enumerate(("best", "last"))
                },
            }
        )

    @classmethod
    def from_frame(cls, frame: pl.LazyFrame) -> "CandidateLists":
        """Read what :meth:`frame` made, a column at a time: all at once are as large as these."""

        def column(name: str) -> pl.Series:
            return frame.select(name).collect().to_series()

        items = column("parent_asin")
        lengths = items.list.len().to_numpy().astype(np.int64)
        items = items.explode(empty_as_null=False).cast(pl.Categorical)
        scores = np.empty((int(lengths.sum()), len(SOURCES)), np.float32)
        tops = np.empty((len(lengths), len(SOURCES), 2), np.float32)
        for number, name in enumerate(SOURCES):
            scores[:, number] = column(name).explode(empty_as_null=False).to_numpy()
            for side, end in enumerate(("best", "last")):
                tops[:, number, side] = column(f"{name}_{end}").to_numpy()
        return cls(
            column("review_id").to_list(),
            column("scenario").to_list(),
            np.repeat(np.arange(len(lengths)), lengths),
            items,
            scores,
            tops,
        )


def as_lists(flat: pl.Series, starts: NDArray[np.int64]) -> pl.Series:
    """Return consecutive parts of a series as one series of lists."""
    number = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    grouped = (
        pl.DataFrame({"ask": number, "value": flat})
        .group_by("ask", maintain_order=True)
        .agg("value")
    )
    every = pl.DataFrame({"ask": np.arange(len(starts) - 1)})
    found = every.join(grouped, on="ask", how="left", maintain_order="left")["value"]
    return found.fill_null([])
