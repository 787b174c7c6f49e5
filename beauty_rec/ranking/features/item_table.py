"""What the reranker knows of each item at a moment: ids, price, and what train events say."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.items.vocabulary import PAD, Vocabulary
from beauty_rec.ranking.features.item_events import ItemEvents
from beauty_rec.ranking.features.spec import FeatureSpec
from beauty_rec.settings import RankingSettings


class Described(NamedTuple):
    """What is known of I items but for their events: the columns of :class:`ItemTable`."""

    ids: list[str]
    sparse: NDArray[np.int32]
    log_price: NDArray[np.float32]

    @classmethod
    def of(
        cls, attributes: pl.DataFrame, vocabulary: Vocabulary, items: pl.DataFrame
    ) -> "Described":
        """Return what the frames say of the items of ``attributes``.

        Args:
            attributes: the item_attributes frame.
            vocabulary: ids of its values.
            items: ``raw_items``, of which only the price is read.
        """
        encoded = vocabulary.encode(attributes)
        sparse = np.concatenate([encoded.std, encoded.re], axis=1).astype(np.int32)
        prices = attributes.select("parent_asin").join(
            items.select("parent_asin", price=pl.col("price").cast(pl.Float32)),
            on="parent_asin",
            how="left",
            maintain_order="left",
        )["price"]
        price = prices.fill_null(np.nan).to_numpy()
        return cls(attributes["parent_asin"].to_list(), sparse, _log(price))


@dataclass(frozen=True)
class ItemTable:
    """Rows are items in the order of ``ids``; one row more stands for any other item."""

    ids: list[str]
    sparse: NDArray[np.int32]
    """[I + 1, S + R]: STD ids, then RE ids, of the vocabulary."""
    std_fields: int
    """S"""
    log_price: NDArray[np.float32]
    """[I + 1], NaN where no price is known; a feature where :attr:`FeatureSpec.price` says so."""
    events: ItemEvents
    row_of: dict[str, int] = field(init=False, repr=False, compare=False)
    context_row_of: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "row_of", {asin: i for i, asin in enumerate(self.ids)})
        places = {context: i for i, context in enumerate(self.events.contexts)}
        object.__setattr__(self, "context_row_of", places)

    def rows(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Return the row of each of ``names``, int64; I, of any other item, for a stranger."""
        other = len(self.ids)
        return np.fromiter((self.row_of.get(name, other) for name in names), np.int64, len(names))

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
        profiles: pl.DataFrame,
        spec: FeatureSpec,
        settings: RankingSettings,
        until_ms: int | None = None,
    ) -> "ItemTable":
        """Return the table of the items of ``attributes`` as it stood at ``until_ms``.

        Args:
            attributes: the item_attributes frame.
            items: ``raw_items``, of which only the price is read.
            reviews: train rows of ``split_reviews``.
            profiles: ``user_profiles``.
            spec: the layout of the features.
            settings: what :meth:`ItemEvents.build` asks for.
            until_ms: Unix ms; events from then on are not counted. For candidates of train events
                give the start of their fold, for all others None.

        Raises:
            ValueError: ``reviews`` has rows that are not of train.
        """
        if "split" in reviews.columns and (reviews["split"] != "train").any():
            raise ValueError("popularity counts train reviews only; other rows were given")
        if until_ms is not None:
            reviews = reviews.filter(pl.col("timestamp") < until_ms)
        ids, sparse, log_price = Described.of(attributes, vocabulary, items)
        rows = {asin: i for i, asin in enumerate(ids)}
        events = reviews.sort("timestamp").filter(pl.col("parent_asin").is_in(ids))
        row = np.array([rows[asin] for asin in events["parent_asin"]], dtype=np.int64)
        if until_ms is None:
            until_ms = int(events["timestamp"].max() or 0) + 1  # type: ignore[arg-type]
        return cls(
            ids=ids,
            sparse=np.concatenate([sparse, np.full((1, sparse.shape[1]), PAD, np.int32)]),
            std_fields=len(vocabulary.std_fields),
            log_price=np.append(log_price, np.nan).astype(np.float32),
            events=ItemEvents.build(events, row, len(ids), profiles, spec, until_ms, settings),
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
        return self._with(Described(ids, sparse, _log(price)))

    @property
    def described(self) -> Described:
        """What is known of the items but for their events."""
        return Described(self.ids, self.sparse[:-1], self.log_price[:-1])

    def with_later(self, today: Described) -> "ItemTable":
        """Return a table that knows what came since, without counts; the others stay as they are.

        Args:
            today: in the same ids of attributes; items of it that the table knows are passed over.
        """
        new = np.flatnonzero(self.rows(today.ids) == len(self.ids))
        if not len(new):
            return self
        ids = [today.ids[row] for row in new.tolist()]
        return self._with(Described(ids, today.sparse[new], today.log_price[new]))

    def _with(self, more: Described) -> "ItemTable":
        other = len(self.ids)
        order = np.concatenate([np.arange(other), self.rows(more.ids), [other]])

        def longer(values: NDArray[Any], later: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate([values[:-1], later, values[-1:]])

        return ItemTable(
            ids=[*self.ids, *more.ids],
            sparse=longer(self.sparse, more.sparse),
            std_fields=self.std_fields,
            log_price=longer(self.log_price, more.log_price),
            events=self.events.taken(order),
        )

    def save(self, folder: Path) -> None:
        """Write ``items.safetensors``, the ids as ``items.parquet``, and the events' files."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        arrays = {
            "sparse": self.sparse,
            "std_fields": np.array([self.std_fields]),
            "log_price": self.log_price,
        }
        save_file(arrays, folder / "items.safetensors")
        frame = pl.DataFrame({"id": self.ids}, schema={"id": pl.String})
        frame.write_parquet(folder / "items.parquet")
        self.events.save(folder)

    @classmethod
    def load(cls, folder: Path) -> "ItemTable":
        """Read what :meth:`save` wrote."""
        from safetensors.numpy import load_file

        arrays = load_file(folder / "items.safetensors")
        return cls(
            ids=pl.read_parquet(folder / "items.parquet", glob=False)["id"].to_list(),
            sparse=arrays["sparse"],
            std_fields=int(arrays["std_fields"][0]),
            log_price=arrays["log_price"],
            events=ItemEvents.load(folder),
        )


def _log(price: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return log(1 + price); NaN where none is known."""
    with np.errstate(invalid="ignore"):
        return np.where(price > 0, np.log1p(price), np.nan).astype(np.float32)
