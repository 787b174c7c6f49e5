"""What the reranker knows of each item at a moment: ids, price, popularity in train."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.items.vocabulary import PAD, Vocabulary
from beauty_rec.settings import RankingSettings

NEVER = np.iinfo(np.int64).max
"""The first event of an item that has none."""
MAX_CONTEXTS = 200


@dataclass(frozen=True)
class ItemTable:
    """Rows are items in the order of ``ids``; one row more stands for any other item."""

    ids: list[str]
    sparse: NDArray[np.int32]
    """[I + 1, S + R]: STD ids, then RE ids, of the vocabulary."""
    std_fields: int
    """S"""
    log_price: NDArray[np.float32]
    """[I + 1], NaN where no price is known."""
    log_count: NDArray[np.float32]
    """[I + 1], log(1 + train events)."""
    log_recent: NDArray[np.float32]
    """[I + 1], the same of the recent part of them."""
    log_context: NDArray[np.float32]
    """[C, I + 1], the same of the recent part, per context."""
    first_ms: NDArray[np.int64]
    """[I + 1], Unix ms of the first train event."""
    contexts: list[str]
    """C contexts, lower case."""
    row_of: dict[str, int] = field(init=False, repr=False, compare=False)
    context_row_of: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "row_of", {asin: i for i, asin in enumerate(self.ids)})
        object.__setattr__(self, "context_row_of", {c: i for i, c in enumerate(self.contexts)})

    @cached_property
    def lengths(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """[I + 1] each: the length of an item's STD and RE ids as 0/1 vectors, at least 1."""
        parts = self.sparse[:, : self.std_fields], self.sparse[:, self.std_fields :]
        std, re = (np.sqrt(np.maximum((ids != 0).sum(1), 1)).astype(np.float32) for ids in parts)
        return std, re

    @cached_property
    def width(self) -> int:
        """One more than the largest id."""
        return int(self.sparse.max(initial=0)) + 1

    @classmethod
    def build(
        cls,
        attributes: pl.DataFrame,
        vocabulary: Vocabulary,
        items: pl.DataFrame,
        reviews: pl.DataFrame,
        settings: RankingSettings,
        until_ms: int | None = None,
    ) -> "ItemTable":
        """Return the table of the items of ``attributes`` as it stood at ``until_ms``.

        Args:
            attributes: the item_attributes frame.
            items: ``raw_items``, of which only the price is read.
            reviews: train rows of ``split_reviews``.
            until_ms: Unix ms; events from then on are not counted. For candidates of train events
                give the start of their fold, for all others None.

        Raises:
            ValueError: ``reviews`` has rows that are not of train.
        """
        if "split" in reviews.columns and (reviews["split"] != "train").any():
            raise ValueError("popularity counts train reviews only; other rows were given")
        if until_ms is not None:
            reviews = reviews.filter(pl.col("timestamp") < until_ms)
        ids = attributes["parent_asin"].to_list()
        rows = {asin: i for i, asin in enumerate(ids)}
        encoded = vocabulary.encode(attributes)
        sparse = np.concatenate([encoded.std, encoded.re], axis=1).astype(np.int32)
        prices = attributes.select("parent_asin").join(
            items.select("parent_asin", price=pl.col("price").cast(pl.Float32)),
            on="parent_asin",
            how="left",
            maintain_order="left",
        )["price"]
        price = prices.fill_null(np.nan).to_numpy()
        events = reviews.sort("timestamp").filter(pl.col("parent_asin").is_in(ids))
        row = np.array([rows[asin] for asin in events["parent_asin"]], dtype=np.int64)
        start = int(len(row) * (1 - settings.recent_share))
        recent = row[start:]
        first = np.full(len(ids) + 1, NEVER, dtype=np.int64)
        np.minimum.at(first, row, events["timestamp"].to_numpy())
        contexts, context = _contexts(events)
        by_context = np.zeros((len(contexts), len(ids) + 1), dtype=np.float32)
        known = context[start:] >= 0
        np.add.at(by_context, (context[start:][known], recent[known]), 1.0)
        with np.errstate(invalid="ignore"):
            log_price = np.where(price > 0, np.log1p(price), np.nan)
        return cls(
            ids=ids,
            sparse=np.concatenate([sparse, np.full((1, sparse.shape[1]), PAD, np.int32)]),
            std_fields=encoded.std.shape[1],
            log_price=np.append(log_price, np.nan).astype(np.float32),
            log_count=_log_counts(row, len(ids) + 1),
            log_recent=_log_counts(recent, len(ids) + 1),
            log_context=np.log1p(by_context),
            first_ms=first,
            contexts=contexts,
        )

    def with_items(
        self, ids: list[str], sparse: NDArray[np.int32], price: NDArray[np.float32]
    ) -> "ItemTable":
        """Return a table that knows further items, or other attributes of a known one.

        Args:
            ids: M distinct items; a known one keeps its counts.
            sparse: int32 ``[M, S + R]``, ids of the vocabulary.
            price: float32 ``[M]``, NaN where there is none.
        """
        rows = np.array([self.row_of.get(name, len(self.ids)) for name in ids], dtype=np.int64)
        with np.errstate(invalid="ignore"):
            log_price = np.where(price > 0, np.log1p(price), np.nan).astype(np.float32)

        def longer(values: NDArray, more: NDArray) -> NDArray:
            return np.concatenate([values[..., :-1], more, values[..., -1:]], axis=-1)

        return ItemTable(
            ids=[*self.ids, *ids],
            sparse=longer(self.sparse.T, sparse.T).T,
            std_fields=self.std_fields,
            log_price=longer(self.log_price, log_price),
            log_count=longer(self.log_count, self.log_count[rows]),
            log_recent=longer(self.log_recent, self.log_recent[rows]),
            log_context=longer(self.log_context, self.log_context[:, rows]),
            first_ms=longer(self.first_ms, self.first_ms[rows]),
            contexts=self.contexts,
        )

    def save(self, folder: Path) -> None:
        """Write ``items.safetensors`` and the names as ``items.parquet``, ``contexts.parquet``."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS}
        arrays["std_fields"] = np.array([self.std_fields])
        save_file(arrays, folder / "items.safetensors")
        for name, values in (("items", self.ids), ("contexts", self.contexts)):
            frame = pl.DataFrame({"id": values}, schema={"id": pl.String})
            frame.write_parquet(folder / f"{name}.parquet")

    @classmethod
    def load(cls, folder: Path) -> "ItemTable":
        """Read what :meth:`save` wrote."""
        from safetensors.numpy import load_file

        arrays = load_file(folder / "items.safetensors")
        return cls(
            ids=pl.read_parquet(folder / "items.parquet")["id"].to_list(),
            contexts=pl.read_parquet(folder / "contexts.parquet")["id"].to_list(),
            std_fields=int(arrays.pop("std_fields")[0]),
            **arrays,
        )


_ARRAYS = ("sparse", "log_price", "log_count", "log_recent", "log_context", "first_ms")


def _log_counts(rows: NDArray[np.int64], size: int) -> NDArray[np.float32]:
    return np.log1p(np.bincount(rows, minlength=size)).astype(np.float32)


def _contexts(events: pl.DataFrame) -> tuple[list[str], NDArray[np.int64]]:
    """Return the distinct contexts and each event's (-1: none); free text counts as none."""
    none = np.full(len(events), -1, dtype=np.int64)
    if "context" not in events.columns:
        return [], none
    said = events["context"].cast(pl.String).str.strip_chars().str.to_lowercase()
    names = sorted(said.drop_nulls().unique())
    if len(names) > min(MAX_CONTEXTS, len(events) / 2):
        return [], none
    place = {name: i for i, name in enumerate(names)}
    return names, np.array([place.get(value, -1) for value in said], dtype=np.int64)
